//! The nodes of IVR trees: what is said.

use crate::domain::ivr::IvrNode;

super::crud::crud!(IvrNode, "IVR node", "/apps/{app}/ivr-nodes", "/apps/{app}/ivr-nodes/{id}", of tree);
