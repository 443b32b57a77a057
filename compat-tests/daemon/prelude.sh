# What every scenario may use. "corosync" on the PATH is one of both daemons; tools are the distribution's.
LOG=/var/log/corosync/corosync.log
PIDFILE=/run/corosync.pid
OUT=/tmp/out

# configure [LOGGING_LINES [OTHER_LINES]]: a cluster of one that logs to standard error without times.
configure() {
    cat >/etc/corosync/corosync.conf <<END
totem {
    version: 2
    cluster_name: lab
}
nodelist {
    node {
        name: n1
        nodeid: 1
        ring0_addr: 10.77.0.1
    }
}
quorum {
    provider: corosync_votequorum
}
logging {
    to_syslog: no
    ${1:-to_stderr: yes
    timestamp: off}
}
${2:-}
END
}

# patiently CONDITION...: until the command succeeds, at most a minute.
patiently() {
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "never: $*"
}

served() { gone "$daemon" || corosync-cmapctl -g runtime.blackbox.dump_state; }
# Nobody may be there to collect a daemon that has ended.
gone() { [ ! -e "/proc/$1" ] || grep -q "^State:.*Z" "/proc/$1/status"; }

# start [ARGUMENTS...]: in a process whose pid is $daemon; until it serves or ends. In a group of its own,
# because system.priority is that of the whole group.
start() {
    setsid corosync -f "$@" >$OUT 2>&1 &
    daemon=$!
    patiently served
}

# await: how the daemon ended, and what it wrote.
await() {
    { wait "$daemon"; } 2>/dev/null
    echo "status $?"
    cat $OUT
}

stop() {
    kill -"${1:-TERM}" "$daemon"
    await
}

pid_file() { if [ -e $PIDFILE ]; then stat -c 'pid file %A %U' $PIDFILE; else echo "no pid file"; fi; }

# say COMMAND...: run it, and tell what came of it.
say() {
    echo "$ $*"
    "$@"
    echo "status $?"
}
