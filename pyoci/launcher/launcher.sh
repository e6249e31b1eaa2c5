#!/bin/sh
# The console command `pyoci` where no C compiler was found at installation: what launcher.c does, but for
# the protection of the interpreter, which pyoci/protect.py then adds by starting once more.
case $0 in */*) self=$0 ;; *) self=$(command -v -- "$0") ;; esac
if [ -L "$self" ]; then self=$(readlink -f -- "$self"); fi
boot=${self%/*}/pyoci-boot
IFS= read -r line <"$boot" || exit 1
interpreter=${line#??}
case $line in
'#!/bin/sh'*) exec "$boot" "$@" ;; # an unusual first line: the script does the rest
'#!/'*) ;;
*) exec "$boot" "$@" ;;
esac
for name in LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT GLIBC_TUNABLES LC_ALL; do
    if eval "[ -n \"\${$name+set}\" ]"; then
        eval "PYOCI_KEPT_$name=\$$name; export PYOCI_KEPT_$name; unset $name"
    fi
done
LC_ALL=C
export LC_ALL
exec "$interpreter" -I -S -Xpyoci=env "$boot" "$@"
