# As a daemon: the parent's status says nothing about the child's.
configure "to_stderr: yes
    to_logfile: yes
    logfile: $LOG"
say corosync
patiently grep . $PIDFILE
daemon=$(cat $PIDFILE)
patiently served
cat "/proc/$daemon/comm"
tr '\0' '\n' <"/proc/$daemon/cmdline" | grep .  # a sandbox does not let us cut the line
readlink "/proc/$daemon/cwd" "/proc/$daemon/fd/0" "/proc/$daemon/fd/1" "/proc/$daemon/fd/2"
[ "$(ps -o sid= -p "$daemon" | tr -d ' ')" = "$daemon" ] && echo "a session of its own"
[ "$(pidof corosync)" = "$daemon" ] && echo "pidof finds it"
[ "$(pgrep -x corosync)" = "$daemon" ] && echo "pgrep finds it"
ps -C corosync -o comm=,args=
say corosync
patiently grep -q already $LOG
kill -TERM "$daemon"
patiently gone "$daemon"
pid_file
cat $LOG
