//! Full disks, failed syncs and rotten bytes.

use super::*;
