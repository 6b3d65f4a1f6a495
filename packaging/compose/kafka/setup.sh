#!/bin/sh
# Makes the keys of central and stations once, and the topics when the broker is there.
set -eu
bridge=/opt/bridge/bin/flower-v6

for name in central north south; do
    if [ ! -e "/keys/$name.pub" ]; then
        rm -f "/keys/$name" # of a run that was cut short
        "$bridge" keys --lane "$name" --output /keys
    fi
done
# Each attempt waits for the broker for some time.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    if "$bridge" kafka topics --lane north,south=kafka://broker:9092/flower --make; then
        exit 0
    fi
    sleep 2
done
exit 1
