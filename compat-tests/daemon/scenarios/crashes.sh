# Signals that come from a defect. What is dumped before is another matter.
configure
for number in SEGV ABRT FPE; do
    echo "--- $number"
    start
    stop $number
    pid_file
done
start
stop
pid_file
