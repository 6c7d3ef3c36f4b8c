pub struct Running;
