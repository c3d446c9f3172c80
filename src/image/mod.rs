//! Images on this host: what `image pull`, `load` and `import` bring, unpacked for overlayfs.
//!
//! The code is synchronous; callers run it on a blocking thread and share an `ImageStore` by `Arc`.
//! Nothing here mounts or runs anything. Times are arguments, but for the client of registries,
//! which measures how long they take.
//!
//! ```text
//! DIR/lock                    held while a store is open
//! DIR/index                   the only file that is ever replaced: images, layers, references
//! DIR/index.old               the index before it, in case a card lied about a sync
//! DIR/configs/<sha256>        image configs as they came; the hash is the image id
//! DIR/layers/<diff id>/fs/    an unpacked layer, an overlayfs lower directory
//! DIR/layers/<diff id>/frames what the layer's tar held besides file contents (gzip)
//! DIR/layers/<diff id>/gone/  contents that a later entry of the same tar replaced (rare)
//! DIR/archives                which archives of a folder were loaded
//! DIR/tmp/<n>/                loads under way, and what is being deleted; swept at open
//! ```
//!
//! **Order of writes.** Everything is made in `tmp/`, the file system is synced, configs and
//! layers are renamed into place, their folders are synced, and then the index is replaced. What
//! the index does not name is rubbish and is swept at open; so a power cut leaves the store as it
//! was before or as it is after, never between.
//!
//! **Why frames and not the layer's compressed tar.** `save` must give back the very bytes that the
//! diff id was taken of. Keeping the gzip beside the directory costs another 40 % or so of the
//! layer in space and in card wear. The frames are the headers and paddings alone, about 1 % of it;
//! contents are read from the directory, and the hash is checked while saving.

pub mod digest;
pub mod reference;
pub mod platform;
pub mod limits;
pub mod list;
pub mod config;
pub mod manifest;
pub mod meter;
pub mod compression;
pub mod sparse;
pub mod header;
pub mod tarball;
pub mod frames;
pub mod tree;
pub mod attributes;
pub mod refusal;
pub mod unpack;
pub mod disk;
pub mod index;
pub mod staging;
pub mod store;
pub mod commit;
pub mod removal;
pub mod garbage;
pub mod arrivals;
pub mod oci;
pub mod load;
pub mod folder;
pub mod registry;
pub mod fetch;
pub mod pull;
pub mod offer;
pub mod push;
pub mod registries;
pub mod changes;
pub mod import;
pub mod hello;
pub mod save;

#[cfg(test)]
pub(crate) mod tests;
