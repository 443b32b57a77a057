# systemd is told once the node serves.
configure
cat >/tmp/listen.py <<END
import os, socket, sys
kind = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
kind.bind(sys.argv[1].replace("@", "\0"))
kind.settimeout(float(sys.argv[2]))
print("listening", flush=True)
try:
    while True:
        print(kind.recv(1000), flush=True)
except TimeoutError:
    pass
END
for address in /tmp/notify @notify; do
    python3 /tmp/listen.py $address 20 >/tmp/heard &
    listener=$!
    patiently grep -q listening /tmp/heard
    NOTIFY_SOCKET=$address start
    patiently grep -q READY /tmp/heard
    stop
    kill $listener
    cat /tmp/heard
done
NOTIFY_SOCKET=/nonexistent start
stop
