#!/usr/bin/env bash
# Sees to it that there is the image that holds vantage6 5: HQ, node, algorithm store and client in
# /opt/vantage6, on Debian 13, whose Python 3.13 they want, and its PostgreSQL. It has its name from
# this file, so a change here makes a new one. 4 minutes, 1.3 GB.
set -euo pipefail
image=flower-v6-vantage6:5.0.3-$(sha256sum <"$0" | cut -c1-12)
echo "$image"
if docker image inspect "$image" >/dev/null 2>&1; then exit; fi

work=$(mktemp -d)
container=flower-v6-vantage6-$$
trap 'docker rm --force "$container" >/dev/null 2>&1; rm -rf "$work"' EXIT
root=$work/root
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,postgresql \
    trixie "$root" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/var/lib/postgresql/* "$root"/usr/share/{doc,man,locale,info}/*
# What this machine trusts, and how its pip finds packages, hold in there as well.
certificates=/etc/ssl/certs/ca-certificates.crt
cp -L "$certificates" "$root$certificates"
if [ -e /etc/pip.conf ]; then cp -L /etc/pip.conf "$root/etc/pip.conf"; fi
tar -C "$root" -c . | docker import \
    -c "ENV PIP_CERT=$certificates REQUESTS_CA_BUNDLE=$certificates SSL_CERT_FILE=$certificates" \
    -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    - "$container" >/dev/null
trap 'docker rm --force "$container" >/dev/null 2>&1; docker rmi "$container" >/dev/null 2>&1;
    rm -rf "$work"' EXIT
# What HQ forgets to declare: the client of its database.
docker run --name "$container" --network host "$container" sh -c 'python3 -m venv /opt/vantage6 &&
    /opt/vantage6/bin/pip install --quiet --no-cache-dir psycopg2-binary vantage6-hq==5.0.3 \
        vantage6-node==5.0.3 vantage6-algorithm-store==5.0.3 vantage6-backend-common==5.0.3' >&2
docker commit "$container" "$image" >/dev/null
