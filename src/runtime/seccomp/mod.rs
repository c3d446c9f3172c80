//! The system call filter: Docker's default profile compiled to BPF, without libseccomp.
//!
//! A filter has one branch per audit architecture of the machine, because a 64-bit ARM board runs
//! 32-bit images and a PC runs i386 ones; a call from any other architecture kills the process.
//! `clone3` answers ENOSYS, so that a libc falls back to `clone`, whose flags can be seen. Numbers
//! above the newest one in the profile answer ENOSYS too, as programs expect of an older kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bpf::Instruction;

mod bpf;
mod profile;
#[cfg(test)]
mod tests;

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const REFUSED: u32 = ERRNO | libc::EPERM as u32;
const NOT_IMPLEMENTED: u32 = ERRNO | libc::ENOSYS as u32;

/// Architectures number their private calls from here (32-bit ARM does).
const FIRST_PRIVATE: u32 = 0xf_0000;

/// One architecture's branch of the filter.
#[derive(Clone, Copy, Debug)]
struct Architecture {
    audit: u32,
    /// Names of the profile that exist only on some architectures.
    extra: &'static str,
    number: fn(&str) -> Option<u32>,
}

macro_rules! architecture {
    ($module:ident, $audit:expr, $extra:expr) => {
        Architecture {
            audit: $audit,
            extra: $extra,
            number: |name| {
                let call: Option<syscalls::$module::Sysno> = name.parse().ok();
                call.and_then(|call| u32::try_from(call.id()).ok())
            },
        }
    };
}

#[cfg(any(target_arch = "x86_64", test))]
const X86: [Architecture; 2] = [
    architecture!(x86_64, 0xc000_003e, profile::X86),
    architecture!(x86, 0x4000_0003, "modify_ldt"),
];
#[cfg(any(target_arch = "aarch64", test))]
const ARM: [Architecture; 2] = [
    architecture!(aarch64, 0xc000_00b7, profile::ARM),
    Architecture {
        number: arm_number,
        ..architecture!(arm, 0x4000_0028, profile::ARM)
    },
];

#[cfg(any(target_arch = "aarch64", test))]
fn arm_number(name: &str) -> Option<u32> {
    let private = profile::ARM_PRIVATE
        .iter()
        .find(|(private, _)| *private == name);
    private
        .map(|(_, number)| *number)
        .or_else(|| (architecture!(arm, 0, "").number)(name))
}

#[cfg(target_arch = "x86_64")]
const NATIVE: [Architecture; 2] = X86;
#[cfg(target_arch = "aarch64")]
const NATIVE: [Architecture; 2] = ARM;

/// A compiled filter, ready to be installed by the process that will become the container.
#[derive(Clone, Debug)]
pub struct Filter(Vec<Instruction>);

impl Filter {
    /// The default profile for a container that holds these capabilities (`CAP_…`).
    pub fn docker_default(capabilities: &BTreeSet<String>) -> Self {
        Self::for_architectures(&NATIVE, capabilities)
    }

    fn for_architectures(all: &[Architecture], capabilities: &BTreeSet<String>) -> Self {
        let unknown = vec![bpf::give(KILL_PROCESS)];
        let branches = all.iter().rev().fold(unknown, |otherwise, architecture| {
            let calls = calls_of(architecture, capabilities);
            bpf::branch(bpf::JUMP_EQUAL, architecture.audit, calls, otherwise)
        });
        let mut code = vec![bpf::load(bpf::OFFSET_ARCHITECTURE)];
        code.extend(branches);
        Self(code)
    }

    /// Binds the calling process, for good. Without `no_new_privs` this needs CAP_SYS_ADMIN.
    pub fn install(&self) -> io::Result<()> {
        #[repr(C)]
        struct Program {
            length: u16,
            code: *const Instruction,
        }
        let length = u16::try_from(self.0.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = Program {
            length,
            code: self.0.as_ptr(),
        };
        // SAFETY: `program` has the layout of the kernel's sock_fprog and outlives the call; the
        // kernel copies the instructions.
        #[allow(unsafe_code)]
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

fn calls_of(architecture: &Architecture, capabilities: &BTreeSet<String>) -> Vec<Instruction> {
    let rules = rules_of(architecture, capabilities);
    let newest = rules
        .range(..FIRST_PRIVATE)
        .next_back()
        .map_or(0, |(number, _)| *number);
    let mut parts: Vec<(u32, Vec<Instruction>)> = vec![(0, vec![bpf::give(REFUSED)])];
    for (number, code) in rules {
        let after = if number < newest {
            REFUSED
        } else {
            NOT_IMPLEMENTED
        };
        push_part(&mut parts, number, code);
        push_part(&mut parts, number + 1, vec![bpf::give(after)]);
    }
    parts.dedup_by(|next, previous| next.1 == previous.1);
    let mut code = vec![bpf::load(bpf::OFFSET_NUMBER)];
    code.extend(bpf::search(&parts));
    code
}

/// Appends a part, in place of an earlier one that starts at the same number.
fn push_part(parts: &mut Vec<(u32, Vec<Instruction>)>, start: u32, code: Vec<Instruction>) {
    match parts.last_mut() {
        Some(last) if last.0 == start => last.1 = code,
        _ => parts.push((start, code)),
    }
}

/// What happens on each call that is not refused outright.
fn rules_of(
    architecture: &Architecture,
    capabilities: &BTreeSet<String>,
) -> BTreeMap<u32, Vec<Instruction>> {
    let mut rules = BTreeMap::new();
    let mut set = |names: &str, code: Vec<Instruction>| {
        for name in names.split_whitespace() {
            if let Some(number) = (architecture.number)(name) {
                rules.insert(number, code.clone());
            }
        }
    };
    set(profile::ALWAYS, vec![bpf::give(ALLOW)]);
    set(architecture.extra, vec![bpf::give(ALLOW)]);
    set(
        "personality",
        one_of(&profile::PERSONALITIES, ALLOW, REFUSED),
    );
    set("socket", one_of(&profile::REFUSED_FAMILIES, REFUSED, ALLOW));
    set("clone", without_bits(profile::CLONE_NAMESPACE_FLAGS));
    set("clone3", vec![bpf::give(NOT_IMPLEMENTED)]);
    for (capability, names) in profile::BY_CAPABILITY {
        if capabilities.contains(*capability) {
            set(names, vec![bpf::give(ALLOW)]);
        }
    }
    rules
}

/// The kernel reads these first arguments as 32-bit values, so only the low half is compared:
/// rubbish above it must not get past a rule.
const FIRST_ARGUMENT: u32 = bpf::OFFSET_ARGUMENTS;

fn one_of(values: &[u32], found: u32, otherwise: u32) -> Vec<Instruction> {
    let mut code = vec![bpf::load(FIRST_ARGUMENT)];
    let checks = values
        .iter()
        .rev()
        .fold(vec![bpf::give(otherwise)], |rest, value| {
            bpf::branch(bpf::JUMP_EQUAL, *value, vec![bpf::give(found)], rest)
        });
    code.extend(checks);
    code
}

fn without_bits(bits: u32) -> Vec<Instruction> {
    let mut code = vec![bpf::load(FIRST_ARGUMENT)];
    let refused = vec![bpf::give(REFUSED)];
    code.extend(bpf::branch(
        bpf::JUMP_ANY_BIT,
        bits,
        refused,
        vec![bpf::give(ALLOW)],
    ));
    code
}
