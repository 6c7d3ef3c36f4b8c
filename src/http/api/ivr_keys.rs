//! The keys of IVR nodes: where they lead.

use crate::domain::ivr::IvrKey;

super::crud::crud!(IvrKey, "IVR key", "/apps/{app}/ivr-keys", "/apps/{app}/ivr-keys/{id}", of node);
