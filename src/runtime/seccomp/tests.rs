use super::*;

#[derive(Debug, PartialEq)]
enum Action {
    Allow,
    Kill,
    Errno(i32),
}

/// Runs a filter as the kernel would.
fn interpret(filter: &Filter, audit: u32, number: u32, argument: u64) -> Action {
    let mut data = [0; 64];
    data[0..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&audit.to_le_bytes());
    data[16..24].copy_from_slice(&argument.to_le_bytes());
    let (mut accumulator, mut at) = (0, 0);
    for _ in 0..filter.0.len() {
        let Instruction {
            code,
            jump_true,
            jump_false,
            k,
        } = filter.0[at];
        at += 1;
        let test = match code {
            bpf::LOAD => {
                let offset = k as usize;
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                continue;
            }
            bpf::JUMP => {
                at += k as usize;
                continue;
            }
            bpf::RETURN => return action(k),
            bpf::JUMP_EQUAL => accumulator == k,
            bpf::JUMP_GREATER_EQUAL => accumulator >= k,
            bpf::JUMP_ANY_BIT => accumulator & k != 0,
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if test { jump_true } else { jump_false });
    }
    panic!("the filter does not end")
}

fn action(k: u32) -> Action {
    match k & 0xffff_0000 {
        ALLOW => Action::Allow,
        KILL_PROCESS => Action::Kill,
        ERRNO => Action::Errno((k & 0xffff) as i32),
        other => panic!("action {other:#x}"),
    }
}

fn capabilities(names: &str) -> BTreeSet<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

/// `call` is "architecture name argument"; `held` the capabilities.
#[track_caller]
fn check(held: &str, call: &str, expect: Action) {
    let [arch, name, argument] = call.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{call}")
    };
    let (family, index) = match arch {
        "x86_64" => (X86, 0),
        "i386" => (X86, 1),
        "aarch64" => (ARM, 0),
        "arm" => (ARM, 1),
        other => panic!("{other}"),
    };
    let filter = Filter::for_architectures(&family, &capabilities(held));
    let number = name
        .parse()
        .unwrap_or_else(|_| (family[index].number)(name).unwrap_or_else(|| panic!("{name}")));
    let argument = u64::from_str_radix(argument, 16).unwrap();
    assert_eq!(
        interpret(&filter, family[index].audit, number, argument),
        expect,
        "{call}"
    );
}

const EPERM: Action = Action::Errno(libc::EPERM);
const ENOSYS: Action = Action::Errno(libc::ENOSYS);

#[test]
fn allows_everyday_calls_on_every_architecture() {
    for arch in ["x86_64", "i386", "aarch64", "arm"] {
        for name in [
            "read",
            "write",
            "execve",
            "openat",
            "futex",
            "exit_group",
            "mmap2",
        ] {
            if (arch, name) == ("x86_64", "mmap2") || (arch, name) == ("aarch64", "mmap2") {
                continue;
            }
            check("", &format!("{arch} {name} 0"), Action::Allow);
        }
    }
    check("", "x86_64 arch_prctl 0", Action::Allow);
    check("", "arm cacheflush 0", Action::Allow);
    check("", "arm arm_fadvise64_64 0", Action::Allow);
}

#[test]
fn refuses_what_reaches_the_host() {
    for arch in ["x86_64", "i386", "aarch64", "arm"] {
        for name in [
            "mount",
            "unshare",
            "setns",
            "keyctl",
            "add_key",
            "request_key",
            "bpf",
            "reboot",
            "init_module",
            "kexec_load",
            "swapon",
            "userfaultfd",
            "settimeofday",
            "chroot",
            "io_uring_setup",
            "perf_event_open",
            "syslog",
            "acct",
            "quotactl",
            "pivot_root",
        ] {
            check("", &format!("{arch} {name} 0"), EPERM);
        }
    }
}

#[test]
fn capabilities_open_their_calls() {
    check("CAP_SYS_CHROOT", "aarch64 chroot 0", Action::Allow);
    check("CAP_SYS_ADMIN", "x86_64 mount 0", Action::Allow);
    check("CAP_SYS_ADMIN", "x86_64 clone 10000000", Action::Allow);
    check("CAP_SYS_ADMIN", "arm clone3 0", Action::Allow);
    check("CAP_SYS_TIME", "i386 clock_settime64 0", Action::Allow);
    check("CAP_SYS_TIME", "i386 mount 0", EPERM);
}

#[test]
fn clone_makes_processes_and_threads_but_no_namespaces() {
    for arch in ["x86_64", "i386", "aarch64", "arm"] {
        check("", &format!("{arch} clone 3d0f00"), Action::Allow);
        check("", &format!("{arch} clone 10000011"), EPERM);
        check("", &format!("{arch} clone 20000"), EPERM);
        check("", &format!("{arch} clone3 0"), ENOSYS);
    }
}

#[test]
fn personality_and_socket_are_judged_by_their_argument() {
    check("", "x86_64 personality 0", Action::Allow);
    check("", "x86_64 personality 20008", Action::Allow);
    check("", "x86_64 personality ffffffff", Action::Allow);
    check("", "x86_64 personality 40000", EPERM);
    check("", "aarch64 socket 2", Action::Allow);
    check("", "aarch64 socket 26", EPERM);
    check("", "x86_64 socket 28", EPERM);
    check("", "x86_64 socket ff00000028", EPERM);
}

#[test]
fn calls_newer_than_the_profile_are_not_implemented() {
    check("", "x86_64 700 0", ENOSYS);
    check("", "x86_64 1073741824 0", ENOSYS);
    check("", "arm 4294967295 0", ENOSYS);
    check("", "arm 983043 0", ENOSYS);
}

#[test]
fn a_foreign_architecture_is_killed() {
    let filter = Filter::for_architectures(&X86, &BTreeSet::new());
    assert_eq!(interpret(&filter, 0x8000_0016, 0, 0), Action::Kill);
}

#[test]
fn every_name_of_the_profile_is_known_somewhere() {
    let all = [profile::ALWAYS, profile::ARM, profile::X86].into_iter();
    let names = all.chain(profile::BY_CAPABILITY.iter().map(|(_, names)| *names));
    for name in names.flat_map(str::split_whitespace) {
        let known = X86
            .iter()
            .chain(&ARM)
            .any(|arch| (arch.number)(name).is_some());
        assert!(known, "no architecture knows {name}");
    }
}

#[test]
fn the_filter_fits_the_kernel() {
    let everything = profile::BY_CAPABILITY
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    for family in [X86, ARM] {
        let length = Filter::for_architectures(&family, &everything).0.len();
        assert!(length < 4096, "{length} instructions");
    }
}
