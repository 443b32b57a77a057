# Without root's rights: a file that may be read, a log file that may not be written, a state directory.
# A Python that lives below /root could not be reached: an open /root with the same directories.
mkdir /tmp/root
mount --rbind /root /tmp/root
mount -t tmpfs -o mode=755 lab /root
for name in $(ls -A /tmp/root); do
    [ -d "/tmp/root/$name" ] && mkdir "/root/$name" && mount --rbind "/tmp/root/$name" "/root/$name"
done
nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
configure
say nobody corosync -t
say nobody corosync -f
configure "to_logfile: yes
    logfile: $LOG"
touch $LOG
say nobody corosync -t
say nobody corosync -f
chmod 600 /etc/corosync/corosync.conf
say nobody corosync -t
pid_file
