//! Extensions that are not an agent's phone: IVRs, queues, faxes of the PBX.

use crate::domain::spec::Extension;

super::crud::crud!(Extension, "extension", "/apps/{app}/extensions", "/apps/{app}/extensions/{id}");
