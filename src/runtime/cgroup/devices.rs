//! Which devices a container may open, on control groups version 2, where the kernel asks a small
//! program instead of a list. Docker's default: the harmless character devices, terminals, and
//! making (not opening) any node. Version 1 has a list, which libcontainer writes.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use crate::runtime::cgroup::{Cgroup, Hierarchy};

/// Character devices that may be read and written; no minor means all.
const CHARACTER_DEVICES: [(i32, Option<i32>); 9] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(1)), // console
    (5, Some(2)), // ptmx
    (136, None),  // pts
];

const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const TYPE_BLOCK: i32 = 1;
const TYPE_CHARACTER: i32 = 2;

/// A device that a container may open beside those that all may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    pub is_block: bool,
    pub major: u32,
    pub minor: u32,
    /// Of `r`, `w` and `m`.
    pub access: String,
}

const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// One eBPF instruction, laid out as the kernel's `bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The program, in the kernel.
#[derive(Debug)]
pub struct DeviceProgram(OwnedFd);

impl DeviceProgram {
    /// Fails where the kernel was built without it or does not let us.
    pub fn load(rules: &[DeviceRule]) -> io::Result<Self> {
        #[repr(C)]
        #[derive(Default)]
        struct Load {
            kind: u32,
            count: u32,
            instructions: u64,
            license: u64,
            rest: [u64; 12],
        }
        let program = program(rules);
        let load = Load {
            kind: BPF_PROG_TYPE_CGROUP_DEVICE,
            count: u32::try_from(program.len()).unwrap_or(u32::MAX),
            instructions: program.as_ptr() as u64,
            license: c"Apache-2.0".as_ptr() as u64,
            rest: [0; 12],
        };
        let fd = bpf(BPF_PROG_LOAD, &load)?;
        // SAFETY: the kernel has just handed over this descriptor, and nobody else owns it.
        #[allow(unsafe_code)]
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Binds every process in the version 2 group at `dir`, and those below it.
    pub fn attach(&self, dir: &Path) -> io::Result<()> {
        #[repr(C)]
        #[derive(Default)]
        struct Attach {
            target: u32,
            program: u32,
            kind: u32,
            flags: u32,
        }
        let group = File::open(dir)?;
        let attach = Attach {
            target: group.as_raw_fd().cast_unsigned(),
            program: self.0.as_raw_fd().cast_unsigned(),
            kind: BPF_CGROUP_DEVICE,
            flags: BPF_F_ALLOW_MULTI,
        };
        bpf(BPF_PROG_ATTACH, &attach).map(|_| ())
    }
}

impl Cgroup {
    /// The folder to attach to; `None` where version 1's list does the work.
    pub fn device_dir(&self) -> Option<std::path::PathBuf> {
        match &self.hierarchy {
            Hierarchy::Unified(root) => Some(root.join(&self.path)),
            Hierarchy::Legacy { .. } => None,
        }
    }

    /// Takes back tun and tap (10:200), which libcontainer allows and Docker does not.
    pub fn deny_tun(&self) -> Result<(), crate::runtime::cgroup::CgroupError> {
        match (&self.hierarchy, self.dir("devices")) {
            (Hierarchy::Legacy { .. }, Some(dir)) => {
                crate::runtime::cgroup::put(&dir, "devices.deny", "c 10:200 rwm")
            }
            _ => Ok(()),
        }
    }
}

/// Whether a device is tun and tap.
pub fn is_tun(rule: &DeviceRule) -> bool {
    (rule.is_block, rule.major, rule.minor) == (false, 10, 200)
}

fn bpf<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is laid out as the kernel's union bpf_attr begins for this command, its
    // size is passed along, and what it points to outlives the call.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `r2` type, `r3` access, `r4` major, `r5` minor; the answer is left in `r0`.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    const AND: u8 = 0x54;
    const SHIFT_RIGHT: u8 = 0x74;
    let mut code = vec![
        load_word(2, 0),
        load_word(3, 0),
        arithmetic(AND, 2, 0xffff),
        arithmetic(SHIFT_RIGHT, 3, 16),
        load_word(4, 4),
        load_word(5, 8),
    ];
    code.push(unless(3, ACCESS_MKNOD, 2));
    code.extend(answer(1));
    for rule in rules {
        let kind = if rule.is_block {
            TYPE_BLOCK
        } else {
            TYPE_CHARACTER
        };
        let (major, minor) = (rule.major.cast_signed(), rule.minor.cast_signed());
        code.extend([unless(2, kind, 5), unless(4, major, 4), unless(5, minor, 3)]);
        code.push(when_any(3, denied(&rule.access), 2));
        code.extend(answer(1));
    }
    code.push(unless(2, TYPE_CHARACTER, 0));
    let jump_out = code.len() - 1;
    for (major, minor) in CHARACTER_DEVICES {
        match minor {
            Some(minor) => code.extend([unless(4, major, 3), unless(5, minor, 2)]),
            None => code.push(unless(4, major, 2)),
        }
        code.extend(answer(1));
    }
    let distance = code.len() - jump_out - 1;
    code[jump_out].offset = i16::try_from(distance).unwrap_or(i16::MAX);
    code.extend(answer(0));
    code
}

/// The ways of access that are not among the letters; making a node is free to all.
fn denied(access: &str) -> i32 {
    let ways = [('r', ACCESS_READ), ('w', ACCESS_WRITE)];
    let denied = ways.iter().filter(|(letter, _)| !access.contains(*letter));
    denied.map(|(_, way)| way).sum()
}

fn load_word(register: u8, offset: i16) -> Instruction {
    Instruction {
        code: 0x61,
        registers: register | (1 << 4),
        offset,
        immediate: 0,
    }
}

fn arithmetic(code: u8, register: u8, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: register,
        offset: 0,
        immediate,
    }
}

/// Jumps unless the register holds the value.
fn unless(register: u8, immediate: i32, offset: i16) -> Instruction {
    Instruction {
        code: 0x55,
        registers: register,
        offset,
        immediate,
    }
}

/// Jumps when the register has one of these bits.
fn when_any(register: u8, immediate: i32, offset: i16) -> Instruction {
    Instruction {
        code: 0x45,
        registers: register,
        offset,
        immediate,
    }
}

fn answer(value: i32) -> [Instruction; 2] {
    let set = Instruction {
        code: 0xb7,
        registers: 0,
        offset: 0,
        immediate: value,
    };
    let exit = Instruction {
        code: 0x95,
        registers: 0,
        offset: 0,
        immediate: 0,
    };
    [set, exit]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    fn version_2_root() -> Option<PathBuf> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .map(PathBuf::from)
            .into_iter()
            .find(|dir| dir.join("cgroup.controllers").exists())
    }

    /// The shell joins the group before it tries; the program knows nothing of the machine's list.
    fn try_in(group: &Path, script: &str) -> bool {
        let script = format!("echo $$ > {}/cgroup.procs && {script}", group.display());
        Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap()
            .status
            .success()
    }

    #[test]
    fn the_program_lets_null_through_and_stops_the_kernel_log() {
        let Some(root) = version_2_root() else {
            eprintln!("skipped: needs root and a version 2 hierarchy");
            return;
        };
        let group = root.join(format!("skep-devices-{}", std::process::id()));
        std::fs::create_dir(&group).unwrap();
        let node = group.file_name().unwrap().to_str().unwrap().to_owned();
        let node = std::env::temp_dir().join(node);
        let make = format!("rm -f {0}; mknod {0} c 1 11", node.display());
        DeviceProgram::load(&[]).unwrap().attach(&group).unwrap();
        let results = [
            try_in(&group, "echo x > /dev/null"),
            try_in(
                &group,
                "head -c1 /dev/zero > /dev/full || head -c1 /dev/urandom",
            ),
            try_in(&group, &make),
            try_in(
                &group,
                &format!("dd if={} of=/dev/null count=0", node.display()),
            ),
        ];
        let outside = Command::new("dd")
            .args([&format!("if={}", node.display()), "of=/dev/null", "count=0"])
            .output()
            .unwrap();
        std::fs::remove_file(&node).unwrap();
        std::fs::remove_dir(&group).unwrap();
        assert_eq!(results, [true, true, true, false]);
        assert!(
            outside.status.success(),
            "the node itself can be opened outside"
        );
    }

    #[test]
    fn a_device_of_a_rule_can_be_opened_as_the_rule_says() {
        let Some(root) = version_2_root() else {
            eprintln!("skipped: needs root and a version 2 hierarchy");
            return;
        };
        let group = root.join(format!("skep-device-rule-{}", std::process::id()));
        std::fs::create_dir(&group).unwrap();
        let node = std::env::temp_dir().join(group.file_name().unwrap());
        // The kernel's log, which no container may read.
        let make = format!("rm -f {0}; mknod {0} c 1 11", node.display());
        let made = Command::new("sh").args(["-c", &make]).status().unwrap();
        let rule = DeviceRule {
            is_block: false,
            major: 1,
            minor: 11,
            access: "r".into(),
        };
        DeviceProgram::load(&[rule])
            .unwrap()
            .attach(&group)
            .unwrap();
        let results = [
            try_in(&group, &format!("exec 3< {}", node.display())),
            try_in(&group, &format!("exec 3> {}", node.display())),
            try_in(&group, "echo x > /dev/null"),
        ];
        std::fs::remove_file(&node).unwrap();
        std::fs::remove_dir(&group).unwrap();
        assert!(made.success());
        assert_eq!(results, [true, false, true]);
    }
}
