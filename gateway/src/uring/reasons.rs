//! Why there may be no ring, in words that help.

use std::io;

/// Why a ring could not be made, and what to do about it. `disabled` is what `kernel.io_uring_disabled` says.
pub fn explain(error: &io::Error, disabled: Option<u8>) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel has no io_uring (or a container's seccomp profile hides it): Duogate needs \
             Linux 6.1 or later with CONFIG_IO_URING; in a container allow io_uring_setup, io_uring_enter and \
             io_uring_register in its seccomp profile"
            .into(),
        Some(libc::EPERM | libc::EACCES) => match disabled {
            Some(2) => "io_uring is switched off on this host: set kernel.io_uring_disabled to 0 \
                 (sysctl -w kernel.io_uring_disabled=0, and in /etc/sysctl.d to keep it)"
                .into(),
            Some(1) => "io_uring is kept for privileged processes on this host: set kernel.io_uring_disabled to 0, or \
                 put the gateway's group into kernel.io_uring_group"
                .into(),
            _ => "io_uring is forbidden to this process by a seccomp filter: allow io_uring_setup, io_uring_enter \
                 and io_uring_register (systemd: SystemCallFilter=@aio; Docker: --security-opt seccomp=…)"
                .into(),
        },
        Some(libc::EINVAL) => "this kernel's io_uring is too old: Duogate needs Linux 6.1 or later".into(),
        Some(libc::ENOMEM) => "no memory may be locked for io_uring: raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=)".into(),
        Some(libc::EMFILE | libc::ENFILE) => "no descriptor is left for io_uring: raise RLIMIT_NOFILE (systemd: LimitNOFILE=)".into(),
        _ => format!("io_uring could not be set up: {error}"),
    }
}

/// What `kernel.io_uring_disabled` says; `None` where the kernel does not have it.
pub fn disabled() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}
