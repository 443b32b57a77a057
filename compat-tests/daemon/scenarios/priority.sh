# Scheduling and memory, with and without the right to ask for them.
show() {
    chrt -p "$daemon" | sed 's/pid [0-9]*/pid PID/'
    ps -o ni= -p "$daemon"
}
configure
start
show
stop
setsid setpriv --bounding-set "-sys_nice" --inh-caps "-sys_nice" corosync -f >$OUT 2>&1 &
daemon=$!
patiently served
show
stop
for priority in "12x" "99999999999" "0x10"; do
    configure "" "system {
    priority: $priority
}"
    say corosync -t
    say setsid -w corosync -f
done
for options in "sched_rr: no" "sched_rr: no
    priority: 5" "sched_rr: no
    priority: max" "move_to_root_cgroup: yes" "move_to_root_cgroup: no" "sched_rr: no
    priority: min"; do
    configure "" "system {
    $options
}"
    start
    show
    stop
done
