# Killed by a node (here: by itself): at once, with status 255.
configure
start
say corosync-cfgtool -k 1
await
pid_file
start
stop
