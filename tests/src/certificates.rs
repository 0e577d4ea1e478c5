//! Certificates made for one test: an authority, and one that it vouches for.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// PEM files of a certificate for `127.0.0.1`, its key, and the authority above it.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The certificate and its key in one file.
    pub both: PathBuf,
    /// Who vouches for it.
    pub authority: PathBuf,
}

impl Certificates {
    /// Writes them into `folder`.
    ///
    /// # Panics
    /// If they cannot be made or written.
    #[must_use]
    pub fn write(folder: &Path) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("no names are good names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("randomness");
        let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");
        let own_key = KeyPair::generate().expect("randomness");
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a good name");
        let own = own.signed_by(&own_key, &authority).expect("a certificate");
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).expect("a file in the test's folder");
            path
        };
        Self {
            certificate: file("certificate.pem", &own.pem()),
            key: file("key.pem", &own_key.serialize_pem()),
            both: file("both.pem", &format!("{}{}", own.pem(), own_key.serialize_pem())),
            authority: file("authority.pem", &authority.pem()),
        }
    }

    /// These files as settings of `[sip]`: certificates are asked for both ways.
    #[must_use]
    pub fn settings(&self) -> [String; 4] {
        [
            format!("certificate = \"{}\"", self.certificate.display()),
            format!("key = \"{}\"", self.key.display()),
            format!("authorities = \"{}\"", self.authority.display()),
            "client_certificates = true".to_owned(),
        ]
    }
}
