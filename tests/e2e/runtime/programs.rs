//! Programs of other kinds than a shell: 32-bit ones, and ones with threads.

use super::*;

/// A whole i386 program: writes "32 bits" and exits with 6.
fn program_of_32_bits() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 0x54;
    let text = b"32 bits\n";
    let mut code = vec![0xb8, 4, 0, 0, 0, 0xbb, 1, 0, 0, 0, 0xb9];
    code.extend((BASE + HEADERS + 34).to_le_bytes());
    code.extend([
        0xba, 8, 0, 0, 0, 0xcd, 0x80, 0xb8, 1, 0, 0, 0, 0xbb, 6, 0, 0, 0, 0xcd, 0x80,
    ]);
    assert_eq!(code.len(), 34);
    code.extend(text);
    let size = HEADERS + u32::try_from(code.len()).unwrap();
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    for word in [BASE + HEADERS, 0x34, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [0x34_u16, 0x20, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

#[test]
fn a_32_bit_program_runs_under_the_filter() {
    use std::os::unix::fs::PermissionsExt;
    let Some(host) = host("bits") else { return };
    let path = host.dir.join("layer/bin/bits");
    fs::write(&path, program_of_32_bits()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    match Command::new(&path).output() {
        Ok(output) if output.stdout == b"32 bits\n" => {}
        other => {
            eprintln!("skipped: this kernel runs no i386 programs: {other:?}");
            return;
        }
    }
    let mut plan = host.plan('a', "");
    plan.process.args = vec!["bits".to_owned()];
    let (exit, output) = host.run(plan);
    assert_eq!((exit.code, output.as_str()), (Some(6), "32 bits\n"));
}

#[test]
fn two_threads_meet() {
    let sum = std::thread::scope(|scope| scope.spawn(|| 1).join().unwrap() + 1);
    assert_eq!(sum, 2);
}

/// A libc starts threads with `clone3`, which the filter cannot look into and so does not have:
/// it must fall back to `clone`.
#[test]
fn a_program_with_threads_runs_under_the_filter() {
    let Some(host) = host("threads") else { return };
    fs::copy(
        std::env::current_exe().unwrap(),
        host.dir.join("layer/bin/threads"),
    )
    .unwrap();
    let mut plan = host.plan('a', "");
    let args = ["threads", "--exact", "runtime::programs::two_threads_meet"];
    plan.process.args = args.map(str::to_owned).to_vec();
    let (exit, output) = host.run(plan);
    assert!(
        exit.code == Some(0) && output.contains("1 passed"),
        "{exit:?} {output}"
    );
}
