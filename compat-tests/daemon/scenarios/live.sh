# Changes of the logging section while the node runs, and a rotation.
mark() { corosync-cmapctl -s runtime.force_gather str yes; patiently logged; }
logged() { [ "$(cat $LOG $LOG.1 2>/dev/null | grep -c 'A new membership')" -gt "$count" ]; }
lines() { grep -h 'GATHER\|A new membership' "$@" | grep -v 'entering\|debug'; }
configure "to_stderr: no
    to_logfile: yes
    logfile: $LOG"
start
count=1
mark
mv $LOG $LOG.1
say corosync-cfgtool -L
count=2
mark
lines $LOG.1
echo "--- after the rotation"
lines $LOG
for change in "timestamp str off" "logfile_priority str err" "logfile_priority str info" "fileline str on"; do
    # shellcheck disable=SC2086
    say corosync-cmapctl -s logging.$change
    : >$LOG
    corosync-cmapctl -s runtime.force_gather str yes
    sleep 0.5
    lines $LOG
done
say corosync-cmapctl -d logging.timestamp
say corosync-cmapctl -s logging.debug str on
: >$LOG
corosync-cmapctl -s runtime.force_gather str yes
patiently grep -q "entering OPERATIONAL" $LOG
grep -o 'entering OPERATIONAL state' $LOG
say corosync-cfgtool -R
# The reload is over when the key that the file does not have is gone.
patiently sh -c '! corosync-cmapctl -g logging.debug >/dev/null 2>&1'
say corosync-cmapctl -g logging.debug
say corosync-cmapctl -g logging.timestamp
say corosync-cmapctl -s logging.logfile str $LOG.other
corosync-cmapctl -s runtime.force_gather str yes
patiently grep -q GATHER $LOG.other
lines $LOG.other
stop
