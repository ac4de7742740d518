#!/bin/sh
# Finds what the build needs that is not there, installs it from Debian where
# this user may, and otherwise prints the line to run.
set -eu
missing=""
need() { missing="$missing $1"; }

command -v go >/dev/null || { echo "deps: Go 1.26 or newer is needed (package golang-go, or the official archive)" >&2; exit 1; }
command -v gcc >/dev/null || need gcc
command -v dpkg-deb >/dev/null || need dpkg
command -v npm >/dev/null || need npm
python3 -m pip --version >/dev/null 2>&1 || command -v pip3 >/dev/null || command -v pip >/dev/null || need python3-pip
[ -e /usr/include/stdio.h ] || need libc6-dev
[ -e /usr/include/jpeglib.h ] && [ -e "$(gcc -print-file-name=libjpeg.a 2>/dev/null || echo none)" ] || need libjpeg62-turbo-dev
[ -n "$missing" ] || exit 0

run="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
	sudo=""
elif sudo -n true 2>/dev/null; then
	sudo="sudo"
else
	echo "deps: missing packages; run:  sudo apt-get update && sudo $run" >&2
	exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo $run
