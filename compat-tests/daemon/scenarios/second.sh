# Only one daemon at a time; a pid file that was left behind is no daemon.
configure
echo 1 >$PIDFILE
start
[ "$(cat $PIDFILE)" = "$daemon" ] && echo "the pid is in the file"
pid_file
say corosync -f
say corosync-cmapctl -g runtime.members.1.status
stop
pid_file
ln -s /nonexistent/pid $PIDFILE
say corosync -f
rm $PIDFILE
mkdir $PIDFILE
say corosync -f
rmdir $PIDFILE
