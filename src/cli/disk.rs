//! `system df`: what takes room on the daemon's disk.

use serde_json::Value;

use crate::cli::answer::{int, list, text, uint};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FORMAT, Flag, Kind, Parsed};
use crate::cli::table::{Listing, Row};
use crate::cli::{container, image, units};

/// `system df`.
pub const DF: Command = Command {
    names: &["system df"],
    usage: "[OPTIONS]",
    about: "Show disk usage",
    args: Args::None,
    flags: &[
        FORMAT,
        Flag::new(
            "verbose",
            Kind::Switch,
            "Show detailed information on space usage",
        )
        .short('v'),
    ],
    run: Run(|context, parsed| Box::pin(df(context, parsed))),
};

const LISTING: Listing = Listing {
    fields: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    quiet: "{{.Type}}",
};

const VOLUMES: Listing = Listing {
    fields: &[
        ("Name", "VOLUME NAME"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
    ],
    table: "{{.Name}}\t{{.Links}}\t{{.Size}}",
    quiet: "{{.Name}}",
};

const IMAGES_TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t\
    {{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS_TABLE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t\
    {{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";

/// One kind of thing that takes room.
struct Part {
    kind: &'static str,
    count: usize,
    active: usize,
    size: u64,
    /// How much of it nothing uses; none if that is not told as a share.
    reclaimable: u64,
}

async fn df(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let usage = context.client.get("/system/df").await?;
    if parsed.on("verbose") {
        return print(&verbose(&usage)?);
    }
    let parts = [
        images(&usage),
        containers(&usage),
        volumes(&usage),
        build_cache(&usage),
    ];
    let rows: Vec<Row> = parts.iter().map(row).collect();
    print(&LISTING.render(&rows, parsed.text("format"), false)?)
}

fn images(usage: &Value) -> Part {
    let all = list(usage, "/Images");
    let in_use = all.iter().filter(|image| int(image, "/Containers") > 0);
    let own = |image: &Value| {
        let shared = u64::try_from(int(image, "/SharedSize")).unwrap_or_default();
        uint(image, "/Size").saturating_sub(shared)
    };
    let size = uint(usage, "/LayersSize");
    let used: u64 = in_use.clone().map(own).sum();
    let reclaimable = size.saturating_sub(used);
    Part {
        kind: "Images",
        count: all.len(),
        active: in_use.count(),
        size,
        reclaimable,
    }
}

fn containers(usage: &Value) -> Part {
    let all = list(usage, "/Containers");
    let is_active = |c: &&Value| matches!(text(c, "/State"), "running" | "paused" | "restarting");
    let size_of = |c: &Value| uint(c, "/SizeRw");
    let size = all.iter().map(size_of).sum();
    let reclaimable = all.iter().filter(|c| !is_active(c)).map(size_of).sum();
    let active = all.iter().filter(is_active).count();
    Part {
        kind: "Containers",
        count: all.len(),
        active,
        size,
        reclaimable,
    }
}

fn volumes(usage: &Value) -> Part {
    let all = list(usage, "/Volumes");
    let size_of = |v: &Value| u64::try_from(int(v, "/UsageData/Size")).unwrap_or_default();
    let is_active = |v: &&Value| int(v, "/UsageData/RefCount") > 0;
    let size = all.iter().map(size_of).sum();
    let reclaimable = all.iter().filter(|v| !is_active(v)).map(size_of).sum();
    let active = all.iter().filter(is_active).count();
    Part {
        kind: "Local Volumes",
        count: all.len(),
        active,
        size,
        reclaimable,
    }
}

fn build_cache(usage: &Value) -> Part {
    let all = list(usage, "/BuildCache");
    let size = all.iter().map(|entry| uint(entry, "/Size")).sum();
    Part {
        kind: "Build Cache",
        count: all.len(),
        active: 0,
        size,
        reclaimable: size,
    }
}

fn row(part: &Part) -> Row {
    let reclaimable = units::size(part.reclaimable, 4);
    let share = part.reclaimable.saturating_mul(100).checked_div(part.size);
    let reclaimable = match share {
        Some(share) if part.kind != "Build Cache" => format!("{reclaimable} ({share}%)"),
        _ => reclaimable,
    };
    let mut row = Row::default();
    row.set("Type", part.kind)
        .set("TotalCount", part.count.to_string())
        .set("Active", part.active.to_string())
        .set("Size", units::size(part.size, 4))
        .set("Reclaimable", reclaimable);
    row
}

fn verbose(usage: &Value) -> Result<String, Failure> {
    let images = image::ls::rows(list(usage, "/Images"), false, false);
    let containers = list(usage, "/Containers").iter().map(|container| {
        let mut row = container::row(container, false);
        row.set("Size", units::size(uint(container, "/SizeRw"), 3));
        row
    });
    let containers: Vec<Row> = containers.collect();
    let volumes: Vec<Row> = list(usage, "/Volumes").iter().map(volume).collect();
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\n\
         Local Volumes space usage:\n\n{}",
        image::ls::LISTING.render(&images, Some(IMAGES_TABLE), false)?,
        container::LISTING.render(&containers, Some(CONTAINERS_TABLE), false)?,
        VOLUMES.render(&volumes, None, false)?,
    ))
}

fn volume(volume: &Value) -> Row {
    let size = u64::try_from(int(volume, "/UsageData/Size")).ok();
    let mut row = Row::default();
    row.set("Name", text(volume, "/Name"))
        .set("Links", int(volume, "/UsageData/RefCount").to_string())
        .set(
            "Size",
            size.map_or_else(|| "N/A".to_owned(), |size| units::size(size, 4)),
        );
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nothing_uses_can_be_reclaimed() {
        let usage = json!({
            "LayersSize": 1000,
            "Images": [
                {"Size": 750, "SharedSize": 0, "Containers": 1}, {"Size": 250, "Containers": 0},
            ],
            "Containers": [{"State": "exited", "SizeRw": 10}, {"State": "running", "SizeRw": 30}],
            "Volumes": [{"UsageData": {"Size": -1, "RefCount": 1}}],
        });
        let shown = |part: Part| row(&part).text("Reclaimable").to_owned();
        assert_eq!(shown(images(&usage)), "250B (25%)");
        assert_eq!(shown(containers(&usage)), "10B (25%)");
        assert_eq!(shown(volumes(&usage)), "0B");
        assert_eq!(shown(build_cache(&usage)), "0B");
    }
}
