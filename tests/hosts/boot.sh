#!/bin/sh
# The first process of a host, in namespaces of its own: gives it files, and becomes its init.
# usage: boot.sh FOLDER NAME systemd|plain MASKED …
set -eu
folder=$1 name=$2 init=$3
shift 3
hostname "$name"
mount --make-rprivate /
new=$folder/root
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$new"
mount -t proc proc "$new/proc"
mount -t sysfs -o ro sysfs "$new/sys"
mount --rbind /dev "$new/dev"
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
for masked; do # our checkout, interpreter and packages: a host has none of them
    [ ! -d "$new$masked" ] || mount -t tmpfs -o mode=755 tmpfs "$new$masked"
done
if [ "$init" = systemd ]; then
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
    else
        mount -t tmpfs -o mode=755 tmpfs "$new/sys/fs/cgroup"
        mkdir "$new/sys/fs/cgroup/unified" "$new/sys/fs/cgroup/systemd"
        mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup/unified"
        mount -t cgroup -o none,name=systemd cgroup "$new/sys/fs/cgroup/systemd"
    fi
fi
mkdir -p "$new/run/sshd" "$new/.old"
cd "$new"
pivot_root . .old
umount -l /.old
rmdir /.old
if [ "$init" = systemd ]; then
    exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
fi
unset $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | grep -v '^PATH$') || true
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec sh -c 'cron; /usr/sbin/sshd; while :; do sleep 3600 & wait; done' # whoever lost its parent is waited for, too
