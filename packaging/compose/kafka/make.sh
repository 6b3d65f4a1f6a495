#!/bin/sh
# Makes the keys of central and stations once, and the topics when the broker is there.
set -eu
bridge=/opt/bridge/bin/flower-v6

[ -e /keys/central ] || "$bridge" keys --lane central north south --output /keys
for _ in $(seq 60); do
    if "$bridge" kafka topics --lane north,south=kafka://broker:9092/flower --make; then
        exit 0
    fi
    sleep 2
done
exit 1
