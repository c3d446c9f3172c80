//! What earlier versions of skep wrote must be read for as long as they are supported. The bytes
//! here are from those versions and never change; a new format adds to them.

mod store;
