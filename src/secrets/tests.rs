use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const POSTGRES: &str = "postgres://hookflash@db.example.com/hookflash";

fn vault(key: &str) -> Result<Vault, SecretError> {
    Vault::open(POSTGRES, Some(&SecretString::from(key)))
}

fn revealed(vault: &Vault, context: &str, stored: &str) -> String {
    vault.reveal(context, stored).unwrap().expose_secret().to_owned()
}

proptest! {
    #[test]
    fn any_literal_comes_back_and_does_not_show(literal in any::<String>(), context in any::<String>()) {
        prop_assume!(!reference::is(&literal));
        let vault = vault(HEX).unwrap();
        let stored = vault.store(&context, &literal).unwrap();
        prop_assert!(stored.starts_with("sealed:v1:"));
        prop_assert!(literal.len() < 12 || !stored.contains(&literal));
        prop_assert_eq!(revealed(&vault, &context, &stored), literal.clone());
        prop_assert!(vault.holds(&context, &stored, &literal));
        prop_assert!(stored != vault.store(&context, &literal).unwrap(), "a nonce is used once");
    }

    #[test]
    fn one_changed_character_fails(literal in "[ -~]{0,40}", at in any::<prop::sample::Index>(), other in 0_u8..128) {
        prop_assume!(!reference::is(&literal));
        let vault = vault(HEX).unwrap();
        let mut bytes = vault.store("807/key", &literal).unwrap().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != other);
        bytes[at] = other;
        prop_assert!(vault.reveal("807/key", &String::from_utf8(bytes).unwrap()).is_err());
    }

    #[test]
    fn one_flipped_bit_fails(literal in "[ -~]{0,40}", bit in any::<prop::sample::Index>()) {
        let vault = vault(HEX).unwrap();
        prop_assume!(!reference::is(&literal));
        let stored = vault.store("807/key", &literal).unwrap();
        let mut bytes = STANDARD.decode(stored.strip_prefix(SEALED).unwrap()).unwrap();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let flipped = format!("{SEALED}{}", STANDARD.encode(bytes));
        prop_assert!(vault.reveal("807/key", &flipped).is_err());
    }

    #[test]
    fn another_context_or_key_fails(literal in any::<String>(), context in any::<String>(), other in any::<String>()) {
        prop_assume!(context != other && !reference::is(&literal));
        let mine = vault(HEX).unwrap();
        let stored = mine.store(&context, &literal).unwrap();
        prop_assert!(mine.reveal(&other, &stored).is_err());
        prop_assert!(!mine.holds(&other, &stored, &literal));
        prop_assert!(vault(&HEX.replace("00", "ff")).unwrap().reveal(&context, &stored).is_err());
    }
}

#[test]
fn hexadecimal_and_base64_are_two_spellings_of_a_key() {
    let stored = vault(HEX).unwrap().store("c", "s3cret").unwrap();
    assert_eq!(revealed(&vault(BASE64).unwrap(), "c", &stored), "s3cret");
    assert_eq!(revealed(&vault(&format!(" {HEX}\n")).unwrap(), "c", &stored), "s3cret");
    for bad in ["", "hunter2", &HEX[..62], &HEX.replace("0a", "0g"), &BASE64[..43], &HEX.replace("00", "é"), &format!("{HEX}00")] {
        let error = vault(bad).unwrap_err();
        assert!(matches!(error, SecretError::BadKey), "{bad:?}: {error}");
        assert!(bad.is_empty() || !error.to_string().contains(bad));
    }
}

#[test]
fn a_key_may_be_a_reference() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, format!("{BASE64}\n")).unwrap();
    let stored = vault(HEX).unwrap().store("c", "s3cret").unwrap();
    assert_eq!(revealed(&vault(&format!("file:{}", path.display())).unwrap(), "c", &stored), "s3cret");
}

#[test]
fn references_stay_and_are_resolved_at_use() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("token");
    let reference = format!("file:{}", path.display());
    let vault = Vault::open(POSTGRES, None).unwrap();
    assert_eq!(vault.store("c", &reference).unwrap(), reference);
    assert!(vault.holds("c", &reference, &reference) && !vault.holds("c", &reference, "env:PATH"));

    for (content, value) in [("one", "one"), ("two\n", "two"), ("three\r\n", "three"), ("four\n\n", "four\n"), (" five ", " five ")] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(revealed(&vault, "any", &reference), value);
    }
    assert_eq!(vault.store("c", "env:PATH").unwrap(), "env:PATH");
    assert_eq!(revealed(&vault, "c", "env:PATH"), std::env::var("PATH").unwrap());
}

#[test]
fn a_dangling_reference_is_named_and_its_value_is_not() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| format!("file:{}", dir.path().join(name).display());
    std::fs::write(dir.path().join("empty"), "\n").unwrap();
    std::fs::write(dir.path().join("binary"), b"hunter2\xff").unwrap();
    std::fs::write(dir.path().join("large"), "hunter2".repeat(10_000)).unwrap();
    let vault = Vault::open(POSTGRES, None).unwrap();
    for (reference, reason) in [
        ("env:HOOKFLASH_NO_SUCH_VARIABLE".to_owned(), "the variable is not set"),
        ("env:".to_owned(), "is not the name of a variable"),
        ("env:A=B".to_owned(), "is not the name of a variable"),
        (at("missing"), "No such file or directory (os error 2)"),
        (at("empty"), "is empty"),
        (at("binary"), "is not UTF-8"),
        (at("large"), "is larger than 65536 bytes"),
    ] {
        assert_eq!(vault.reveal("c", &reference).unwrap_err().to_string(), format!("{reference}: {reason}"));
    }
}

#[test]
fn without_a_key_nothing_is_sealed_and_nothing_raw_is_taken_for_a_secret() {
    let keyless = Vault::open(POSTGRES, None).unwrap();
    let error = keyless.store("807/key", "hunter2").unwrap_err();
    assert!(matches!(error, SecretError::NoKey) && !error.to_string().contains("hunter2"));
    let sealed = vault(HEX).unwrap().store("807/key", "hunter2").unwrap();
    for (vault, stored) in [(&keyless, sealed.as_str()), (&vault(HEX).unwrap(), "hunter2"), (&keyless, ""), (&keyless, "sealed:v1:")] {
        let error = vault.reveal("807/key", stored).unwrap_err();
        assert!(error.to_string().starts_with("the secret of 807/key does not open"), "{error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    assert_eq!(format!("{keyless:?} {:?}", vault(HEX).unwrap()), "Vault { seals: false } Vault { seals: true }");
}

#[test]
fn sqlite_has_a_key_file_that_only_its_owner_reads() {
    let dir = TempDir::new().unwrap();
    let url = format!("sqlite://{}?mode=rwc", dir.path().join("h.db").display());
    let stored = Vault::open(&url, None).unwrap().store("c", "s3cret").unwrap();
    let path = dir.path().join("h.db.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(revealed(&Vault::open(&url, None).unwrap(), "c", &stored), "s3cret");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    assert!(Vault::open(&url, Some(&SecretString::from(HEX))).unwrap().reveal("c", &stored).is_err(), "a given key wins");

    std::fs::write(&path, "hunter2").unwrap();
    let error = Vault::open(&url, None).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the key file {}: does not hold a key", path.display())) && !error.contains("hunter2"), "{error}");
    assert!(matches!(Vault::open("sqlite:///nowhere/at/all/h.db", None), Err(SecretError::KeyFile { .. })));
    assert!(Vault::open("sqlite://:memory:", None).unwrap().store("c", "s").is_ok());
}

#[test]
fn many_that_start_at_once_share_one_key() {
    let dir = TempDir::new().unwrap();
    let url = format!("sqlite://{}", dir.path().join("h.db").display());
    let start = std::sync::Barrier::new(16);
    let vaults: Vec<Vault> = std::thread::scope(|scope| {
        let open = || {
            start.wait();
            Vault::open(&url, None).unwrap()
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let stored = vaults[0].store("c", "s3cret").unwrap();
    assert!(vaults.iter().all(|vault| vault.holds("c", &stored, "s3cret")));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
