//! What a container uses at one moment, and used a moment before.

use std::collections::BTreeMap;

docker! {
    /// Docker's `Stats`.
    pub struct Stats {
        name "name" omitempty: String;
        id "id" omitempty: String;
        read "read": String;
        preread "preread": String;
        pids_stats "pids_stats" omitempty: PidsStats;
        blkio_stats "blkio_stats": BlkioStats;
        num_procs "num_procs": u32;
        cpu_stats "cpu_stats" omitempty: CpuStats;
        precpu_stats "precpu_stats" omitempty: CpuStats;
        memory_stats "memory_stats" omitempty: MemoryStats;
        networks "networks" omitempty: BTreeMap<String, NetworkStats>;
    }

    /// Docker's `PidsStats`.
    pub struct PidsStats {
        current "current" omitempty: u64;
        limit "limit" omitempty: u64;
    }

    /// Docker's `BlkioStats`.
    pub struct BlkioStats {
        io_service_bytes_recursive "io_service_bytes_recursive": Option<Vec<BlkioEntry>>;
        io_serviced_recursive "io_serviced_recursive": Option<Vec<BlkioEntry>>;
    }

    /// Docker's `BlkioEntry`.
    pub struct BlkioEntry {
        major "major": u64;
        minor "minor": u64;
        op "op": String;
        value "value": u64;
    }

    /// Docker's `CpuStats`.
    pub struct CpuStats {
        cpu_usage "cpu_usage": CpuUsage;
        system_cpu_usage "system_cpu_usage" omitempty: u64;
        online_cpus "online_cpus" omitempty: u32;
        throttling_data "throttling_data" : ThrottlingData;
    }

    /// Nanoseconds.
    pub struct CpuUsage {
        total_usage "total_usage": u64;
        percpu_usage "percpu_usage" omitempty: Vec<u64>;
        usage_in_kernelmode "usage_in_kernelmode": u64;
        usage_in_usermode "usage_in_usermode": u64;
    }

    /// Docker's `ThrottlingData`.
    pub struct ThrottlingData {
        periods "periods": u64;
        throttled_periods "throttled_periods": u64;
        throttled_time "throttled_time": u64;
    }

    /// Docker's `MemoryStats`.
    pub struct MemoryStats {
        usage "usage" omitempty: u64;
        max_usage "max_usage" omitempty: u64;
        /// The kernel's own counters, by their names.
        stats "stats" omitempty: BTreeMap<String, u64>;
        failcnt "failcnt" omitempty: u64;
        limit "limit" omitempty: u64;
    }

    /// Docker's `NetworkStats`.
    pub struct NetworkStats {
        rx_bytes "rx_bytes": u64;
        rx_packets "rx_packets": u64;
        rx_errors "rx_errors": u64;
        rx_dropped "rx_dropped": u64;
        tx_bytes "tx_bytes": u64;
        tx_packets "tx_packets": u64;
        tx_errors "tx_errors": u64;
        tx_dropped "tx_dropped": u64;
    }
}
