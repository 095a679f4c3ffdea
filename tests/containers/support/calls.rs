//! System calls that a probe makes by number, and what the kernel answers.

use std::io;

/// A call with its first two arguments, as 64-bit programs make it or as 32-bit ones do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Own(libc::c_long, u64, u64),
    /// On x86-64 alone.
    Narrow(u32, u32, u32),
}

/// Returns the word for the probe that makes `calls`.
pub(crate) fn word(calls: &[Call]) -> String {
    let one = |it: &Call| match it {
        Call::Own(number, first, second) => format!("own,{number},{first},{second}"),
        Call::Narrow(number, first, second) => format!("narrow,{number},{first},{second}"),
    };
    format!("calls={}", calls.iter().map(one).collect::<Vec<_>>().join(";"))
}

/// Reads which errors a probe was answered with, 0 for none.
pub(crate) fn answers(told: &str) -> Vec<i32> {
    told.lines().filter_map(|it| it.strip_prefix("answer ")?.parse().ok()).collect()
}

/// Makes the calls that `text` lists, and tells the answers.
pub(super) fn make(text: &str) {
    for call in text.split(';') {
        let mut fields = call.split(',');
        let kind = fields.next().unwrap();
        let [number, first, second] = std::array::from_fn(|_| fields.next().unwrap());
        let answer = if kind == "own" {
            own(number.parse().unwrap(), first.parse().unwrap(), second.parse().unwrap())
        } else {
            narrow(number.parse().unwrap(), first.parse().unwrap(), second.parse().unwrap())
        };
        println!("answer {answer}");
    }
}

fn own(number: libc::c_long, first: u64, second: u64) -> i32 {
    // SAFETY: tests choose calls and arguments that hold no pointer but null.
    let result = unsafe { libc::syscall(number, first, second, 0, 0, 0, 0) };
    if result == -1 { io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}

#[cfg(target_arch = "x86_64")]
fn narrow(number: u32, first: u32, second: u32) -> i32 {
    let result: u64;
    // SAFETY: as above; the compiler's own use of rbx is kept.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) u64::from(first) => _,
            inlateout("rax") u64::from(number) => result,
            in("rcx") u64::from(second),
            in("rdx") 0_u64,
            in("rsi") 0_u64,
            in("rdi") 0_u64,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    -(result as i32).min(0)
}

#[cfg(not(target_arch = "x86_64"))]
fn narrow(_number: u32, _first: u32, _second: u32) -> i32 {
    panic!("not on this machine");
}
