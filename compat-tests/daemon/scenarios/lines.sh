# How a line looks with each option.
for timestamp in off on hires; do
    for fileline in off on; do
        for function_name in off on; do
            echo "--- $timestamp, fileline $fileline, function_name $function_name"
            rm -f $LOG
            configure "to_stderr: yes
    to_logfile: yes
    logfile: $LOG
    timestamp: $timestamp
    fileline: $fileline
    function_name: $function_name"
            say corosync -t
            cat $LOG
        done
    done
done
rm -f $LOG
configure "to_stderr: yes
    to_logfile: yes
    logfile: $LOG
    logfile_priority: warning"
start
stop
cat $LOG
