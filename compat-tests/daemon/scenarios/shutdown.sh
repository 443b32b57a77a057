# The operator's ways to stop a node.
configure
start
say corosync-cfgtool -H
await
pid_file
start
say corosync-cfgtool -H --force
await
pid_file
