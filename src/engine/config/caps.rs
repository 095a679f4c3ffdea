//! The names of the kernel's capabilities, in the order of their numbers.

use super::error::Reason;
use super::nearest::nearest;

/// capabilities(7), lower case and without `cap_`, as LXC writes them; the index is the number.
pub(super) const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Returns the number of a capability given by name or by number.
pub(super) fn number(word: &str) -> Result<u8, Reason> {
    if let Some(at) = NAMES.iter().position(|it| *it == word) {
        return Ok(at as u8);
    }
    match word.parse::<u8>() {
        Ok(number) if usize::from(number) < NAMES.len() => Ok(number),
        _ => {
            let lower = word.to_ascii_lowercase();
            let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
            let meant = NAMES.iter().find(|it| **it == bare).copied();
            Err(Reason::Unknown {
                what: "capability",
                word: word.to_owned(),
                nearest: meant.or_else(|| nearest(bare, NAMES)),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_the_kernel() {
        assert_eq!(number("chown").unwrap(), 0);
        assert_eq!(number("sys_admin").unwrap(), 21);
        assert_eq!(number("setfcap").unwrap(), 31);
        assert_eq!(number("checkpoint_restore").unwrap(), 40);
        assert_eq!(number("12").unwrap(), 12);
    }

    #[test]
    fn the_kernels_spelling_is_recognised_in_the_advice() {
        let error = number("CAP_SYS_ADMIN").unwrap_err().to_string();
        assert!(error.contains("did you mean sys_admin"), "{error}");
        assert!(number("64").is_err());
    }
}
