# Options, their order, and what getopt makes of them.
configure
say corosync -h
say corosync -z
say corosync --help
say corosync -c
say corosync -tc
say corosync -tz -c /nonexistent
say corosync -z -v
corosync -v -z | head -1
corosync -fv -c /nonexistent | head -1
say corosync -t word
say corosync -t -- -z
say corosync -t -t -f
