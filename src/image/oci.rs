//! Which images an OCI layout holds for this host.

use std::collections::BTreeMap;

use crate::image::arrivals::Arrivals;
use crate::image::commit::NewImage;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::limits::Limits;
use crate::image::load::{LoadError, check_count, check_layer, decode, parse_name};
use crate::image::manifest::{Descriptor, Index, Manifest, NAME_ANNOTATION, REF_ANNOTATION};
use crate::image::platform::Platform;
use crate::image::reference::Reference;

/// An index may name an index, and no more.
const DEPTH_MAX: usize = 3;

/// One build of an image, whose manifest is in the archive.
struct Build {
    digest: Digest,
    manifest: Manifest,
    platform: Platform,
}

/// The images of a layout. Builds of one name are the same image for several platforms.
pub fn images(
    arrivals: &mut Arrivals,
    index: &[u8],
    host: &Platform,
    limits: &Limits,
) -> Result<Vec<NewImage>, LoadError> {
    let index: Index = decode("index.json", index)?;
    let mut groups: BTreeMap<Option<Reference>, Vec<Build>> = BTreeMap::new();
    for descriptor in &index.manifests {
        let builds = groups.entry(name(descriptor)?).or_default();
        collect(arrivals, descriptor, limits, DEPTH_MAX, builds)?;
    }
    let mut images = Vec::new();
    for (name, builds) in groups {
        for build in choose(builds, name.is_some(), host)? {
            images.push(image(arrivals, build, name.clone(), limits)?);
        }
    }
    Ok(images)
}

/// The builds below a descriptor that are in the archive. Docker exports the index of an image
/// whole and of its builds only those it has.
fn collect(
    arrivals: &Arrivals,
    descriptor: &Descriptor,
    limits: &Limits,
    depth: usize,
    builds: &mut Vec<Build>,
) -> Result<(), LoadError> {
    let digest: Digest = descriptor.digest.parse()?;
    let Some(bytes) = arrivals.blob(digest).transpose()? else {
        return Ok(());
    };
    let name = digest.to_string();
    if descriptor.is_index() && depth > 0 {
        let index: Index = decode(&name, bytes)?;
        for descriptor in &index.manifests {
            collect(arrivals, descriptor, limits, depth - 1, builds)?;
        }
        return Ok(());
    }
    if builds.len() >= limits.images_max {
        return Err(LoadError::TooManyImages(limits.images_max));
    }
    let manifest: Manifest = decode(&name, bytes)?;
    let platform = match descriptor.platform() {
        Some(platform) => platform,
        None => config(arrivals, &manifest, limits)?.1.platform(),
    };
    // Signed statements about a build hide among the builds, for no platform.
    if platform.os != "unknown" {
        builds.push(Build {
            digest,
            manifest,
            platform,
        });
    }
    Ok(())
}

/// The build for this host; a single one whatever it is for, and unnamed ones that are for the same
/// platform each by itself.
fn choose(builds: Vec<Build>, named: bool, host: &Platform) -> Result<Vec<Build>, LoadError> {
    let Some(first) = builds.first() else {
        return Ok(Vec::new());
    };
    let alike = builds.iter().all(|b| b.platform == first.platform);
    if builds.len() == 1 || alike && !named {
        return Ok(builds);
    }
    let found: Vec<String> = builds.iter().map(|b| b.platform.to_string()).collect();
    let ranked = builds
        .into_iter()
        .filter_map(|b| Some((host.rank(&b.platform)?, b)));
    match ranked.min_by_key(|(rank, _)| *rank) {
        Some((_, build)) => Ok(vec![build]),
        None => Err(LoadError::Platform {
            host: host.clone(),
            found: found.join(", "),
        }),
    }
}

fn image(
    arrivals: &mut Arrivals,
    build: Build,
    name: Option<Reference>,
    limits: &Limits,
) -> Result<NewImage, LoadError> {
    let (bytes, _) = config(arrivals, &build.manifest, limits)?;
    let (_, diff_ids) = ImageConfig::decode(&bytes, limits.layers_max)?;
    check_count(build.manifest.layers.len(), diff_ids.len())?;
    for (descriptor, diff_id) in build.manifest.layers.iter().zip(&diff_ids) {
        let expected: Digest = descriptor.digest.parse()?;
        let missing = || LoadError::Missing(expected.to_string());
        let arrived = arrivals.layer_blob(expected).ok_or_else(missing)?;
        if arrived.digest != expected {
            let found = arrived.digest;
            return Err(LoadError::Digest { expected, found });
        }
        check_layer(arrived, &expected.to_string(), *diff_id)?;
    }
    let names = name.map(|name| {
        let pinned = name.with_digest(build.digest);
        [name, pinned]
    });
    Ok(NewImage {
        config: bytes,
        layers: diff_ids,
        names: names.into_iter().flatten().collect(),
    })
}

fn config(
    arrivals: &Arrivals,
    manifest: &Manifest,
    limits: &Limits,
) -> Result<(Vec<u8>, ImageConfig), LoadError> {
    let digest: Digest = manifest.config.digest.parse()?;
    let missing = || LoadError::Missing(digest.to_string());
    let bytes = arrivals.blob(digest).ok_or_else(missing)??.to_vec();
    let (config, _) = ImageConfig::decode(&bytes, limits.layers_max)?;
    Ok((bytes, config))
}

/// The name that a builder annotated. The second annotation is often a tag alone, which names
/// nothing.
fn name(descriptor: &Descriptor) -> Result<Option<Reference>, LoadError> {
    let whole = descriptor.annotation(NAME_ANNOTATION);
    let tag = descriptor.annotation(REF_ANNOTATION);
    let text = whole.or_else(|| tag.filter(|t| t.contains(['/', ':'])));
    text.map(parse_name).transpose()
}
