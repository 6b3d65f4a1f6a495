#!/usr/bin/env bash
# Sees to it that there is python:3.11-slim-bookworm. Where no registry can be reached, the same
# Debian with Debian's own Python 3.11 stands in for it.
set -euo pipefail
image=python:3.11-slim-bookworm
if docker image inspect "$image" >/dev/null 2>&1; then exit; fi
if docker pull --quiet "$image" >/dev/null 2>&1; then exit; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
    bookworm "$root" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/{doc,man,locale,info}/*
# As in the original, whose Python is not the distribution's: `python`, and pip may install.
ln -s python3 "$root/usr/bin/python"
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
# What this machine trusts, and how its pip finds packages, hold in `docker build` as well.
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
if [ -e /etc/pip.conf ]; then cp -L /etc/pip.conf "$root/etc/pip.conf"; fi
tar -C "$root" -c . | docker import -c 'CMD ["python3"]' \
    -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$image"
