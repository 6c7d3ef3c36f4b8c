//! IVR trees: what a caller meets before a queue.

use crate::domain::ivr::IvrTree;

super::crud::crud!(IvrTree, "IVR tree", "/apps/{app}/ivr-trees", "/apps/{app}/ivr-trees/{id}");
