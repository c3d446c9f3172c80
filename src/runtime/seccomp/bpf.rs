//! The few classic BPF instructions a filter needs, and the search tree over call numbers.

/// One instruction, laid out as the kernel's `sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jump_true: u8,
    pub jump_false: u8,
    pub k: u32,
}

/// Load the 32-bit word at offset `k` of `seccomp_data`.
pub const LOAD: u16 = 0x20;
/// Jump `k` instructions ahead.
pub const JUMP: u16 = 0x05;
/// Compare the accumulator with `k`: equal.
pub const JUMP_EQUAL: u16 = 0x15;
/// Compare the accumulator with `k`: greater or equal.
pub const JUMP_GREATER_EQUAL: u16 = 0x35;
/// Test the accumulator for any bit of `k`.
pub const JUMP_ANY_BIT: u16 = 0x45;
/// Return the action `k`.
pub const RETURN: u16 = 0x06;

/// Offsets in the kernel's `seccomp_data`; arguments are 64 bits wide and little endian on every
/// target.
pub const OFFSET_NUMBER: u32 = 0;
pub const OFFSET_ARCHITECTURE: u32 = 4;
pub const OFFSET_ARGUMENTS: u32 = 16;

pub fn load(offset: u32) -> Instruction {
    Instruction {
        code: LOAD,
        jump_true: 0,
        jump_false: 0,
        k: offset,
    }
}

pub fn jump(distance: u32) -> Instruction {
    Instruction {
        code: JUMP,
        jump_true: 0,
        jump_false: 0,
        k: distance,
    }
}

pub fn compare(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        k,
    }
}

pub fn give(action: u32) -> Instruction {
    Instruction {
        code: RETURN,
        jump_true: 0,
        jump_false: 0,
        k: action,
    }
}

/// A binary search for the accumulator among parts, each starting at its number and reaching to
/// the next one's. The first part must start at 0. Every part's code returns.
pub fn search(parts: &[(u32, Vec<Instruction>)]) -> Vec<Instruction> {
    match parts {
        [] => Vec::new(),
        [(_, code)] => code.clone(),
        _ => {
            let (low, high) = parts.split_at(parts.len() / 2);
            branch(JUMP_GREATER_EQUAL, high[0].0, search(high), search(low))
        }
    }
}

/// `if accumulator <test> k { yes } else { no }`, whatever the distance.
pub fn branch(test: u16, k: u32, yes: Vec<Instruction>, no: Vec<Instruction>) -> Vec<Instruction> {
    let mut code = match u8::try_from(no.len()) {
        Ok(near) => vec![compare(test, k, near, 0)],
        Err(_) => {
            // A filter has at most 4096 instructions, so the distance fits.
            let far = u32::try_from(no.len()).unwrap_or(u32::MAX);
            vec![compare(test, k, 0, 1), jump(far)]
        }
    };
    code.extend(no);
    code.extend(yes);
    code
}
