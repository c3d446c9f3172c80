//! Gives back what building a container took: a shim is there for as long as its container, and
//! there is one for each.

use std::fs;

/// What the calls from here on need of the stack, with much to spare.
const STACK_KEPT: usize = 32 << 10;
const PAGE: usize = 4096;

/// Returns the free heap and the deep end of the stack to the kernel.
pub fn release() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions. Other libcs keep little by themselves.
    #[allow(unsafe_code)]
    unsafe {
        libc::malloc_trim(0);
    }
    let here = 0_u8;
    let end = (std::ptr::from_ref(&here).addr().saturating_sub(STACK_KEPT)) & !(PAGE - 1);
    if let Some(start) = stack_start().filter(|start| *start < end) {
        // SAFETY: the range lies in the stack and below everything in use, by STACK_KEPT; the
        // kernel gives zeroed pages should it ever be used again.
        #[allow(unsafe_code)]
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
        }
    }
}

/// The lowest address that the stack has reached.
fn stack_start() -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[stack]"))?;
    usize::from_str_radix(line.split_once('-')?.0, 16).ok()
}
