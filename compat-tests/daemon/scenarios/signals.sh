# What each signal does, and what it leaves behind.
configure
for number in TERM INT QUIT HUP USR1 ALRM KILL; do
    echo "--- $number"
    rm -f $PIDFILE
    start
    stop $number
    pid_file
done
echo "--- USR2, WINCH, CHLD"
start
for number in USR2 WINCH CHLD; do
    kill -$number "$daemon"
done
say corosync-cmapctl -g runtime.members.1.status
stop
pid_file
