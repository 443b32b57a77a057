# Where the configuration may be.
say corosync -t
configure
say corosync -t -c /nonexistent
say corosync -f -c /nonexistent
say corosync -t -c ""
say corosync -t -c "/tmp/$(head -c 300 /dev/zero | tr '\0' x)"
corosync -t -c "/$(head -c 4095 /dev/zero | tr '\0' x)"
echo "status $?"
corosync -t -c "/$(head -c 4096 /dev/zero | tr '\0' x)"
echo "status $?"
cd /etc/corosync || exit
say corosync -t -c corosync.conf
say corosync -t -c ./corosync.conf
mkdir -p /tmp/elsewhere/uidgid.d
cp corosync.conf /tmp/elsewhere/my.conf
echo 'uidgid { uid: 4711 }' >/tmp/elsewhere/uidgid.d/one-line
printf 'uidgid {\n  uid: 4712\n  gid: 4713\n}\n' >/tmp/elsewhere/uidgid.d/four-lines
printf 'uidgid {\n  uid: 4714\n}\n' >uidgid.d/not-here
say corosync -t -c /tmp/elsewhere/my.conf
rm /tmp/elsewhere/uidgid.d/one-line
start -c /tmp/elsewhere/my.conf
say corosync-cmapctl uidgid
stop
cd /tmp/elsewhere || exit
start -c my.conf
say corosync-cmapctl uidgid
say corosync-cfgtool -R
stop
