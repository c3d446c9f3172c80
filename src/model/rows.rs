//! The kinds of objects as rows of tables.

use std::sync::Arc;

use crate::model::id::{ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId};
use crate::model::object::{Cluster, Config, Network, Node, Secret, Service, Task};
use crate::model::state::Object;
use crate::model::table::Row;

macro_rules! rows {
    ($($variant:ident $part:ident $row:ident: $id:ty, $self:ident => $name:expr;)*) => {
        $(impl Row for $row {
            type Id = $id;

            fn id(&self) -> $id {
                self.id
            }

            fn name(&$self) -> Option<&str> {
                $name
            }
        })*

        impl Object {
            $(pub(super) fn $part(self) -> Option<Arc<$row>> {
                match self {
                    Self::$variant(row) => Some(row),
                    _ => None,
                }
            })*

            pub(super) fn cluster(self) -> Option<Arc<Cluster>> {
                match self {
                    Self::Cluster(cluster) => Some(cluster),
                    _ => None,
                }
            }
        }
    };
}

rows! {
    Node node Node: NodeId, self => None;
    Service service Service: ServiceId, self => Some(&self.spec.name);
    Task task Task: TaskId, self => None;
    Network network Network: NetworkId, self => Some(&self.spec.name);
    Secret secret Secret: SecretId, self => Some(&self.spec.name);
    Config config Config: ConfigId, self => Some(&self.spec.name);
}
