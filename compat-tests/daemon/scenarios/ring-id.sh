# The number of the last ring must be known and stored, or the node does not start.
configure
mkdir /var/lib/corosync/ringid_1
say corosync -f
pid_file
rmdir /var/lib/corosync/ringid_1
printf '\020\000\000\000\000\000\000\000' >/var/lib/corosync/ringid_1
start
corosync-quorumtool -s | grep 'Ring ID'
stop
od -An -tx1 /var/lib/corosync/ringid_1
stat -c %A /var/lib/corosync/ringid_1
printf 'short' >/var/lib/corosync/ringid_1
start
stop
od -An -tx1 /var/lib/corosync/ringid_1
mkdir /tmp/state
mount -t tmpfs lab /tmp/state
mount -o remount,ro /tmp/state
configure "to_stderr: yes
    timestamp: off" "system {
    state_dir: /tmp/state
}"
say corosync -f
mount -o remount,rw /tmp/state
printf '\020\000\000\000\000\000\000\000' >/tmp/state/ringid_1
mount -o remount,ro /tmp/state
# How far the node has come by then is not compared.
corosync -f >$OUT 2>&1
echo "status $?"
grep error $OUT
umount /tmp/state
