//! What concerns certificates and requests for them.

use serde_json::json;

use crate::openapi::described::{Described, delete, get, one, post, whole};

/// What all of them have in common.
const ABOUT: &str = "Not for clients that are bound to instances (`client-bound`).";

pub(super) fn described() -> Vec<Described> {
    let tag = "certificates";
    vec![
        get("/v1/certificates", "listCertificates", tag, "Lists the certificates whose private keys the host has")
            .about("In the order in which they expire, all on one page. Not for clients that are bound to instances (`client-bound`).")
            .query([])
            .answer(200, whole("The certificates.", "Certificate"))
            .leads_to("getCertificate", [("thumbprint", "$response.body#/rows/0/thumbprint")]),
        post("/v1/certificates", "importCertificate", tag, "Imports a certificate with its private key")
            .about(
                "From a PFX file; or the certificate that answers a request, whose key waits here. A certificate that is installed stays so. \
                 No private key is ever answered. Not for clients that are bound to instances (`client-bound`).",
            )
            .body("CertificateBody", true, json!({ "file": "MIIKYQIBAzCC", "code": "the-code-of-the-file" }))
            .answer(201, one("The certificate is installed; `warnings` has what to know of it and its file.", "Certificate")),
        get("/v1/certificates/{thumbprint}", "getCertificate", tag, "Shows a certificate, in PEM too")
            .about(ABOUT)
            .answer(200, one("The certificate.", "CertificateWithPem")),
        delete("/v1/certificates/{thumbprint}", "removeCertificate", tag, "Removes a certificate and its private key")
            .about("Refused while an instance uses it. Not for clients that are bound to instances (`client-bound`).")
            .problem(409)
            .answer(200, one("The certificate is gone.", "RemovedCertificate")),
        post("/v1/self-signed-certificates", "makeCertificate", tag, "Makes a key that stays in the host, with a self-signed certificate")
            .about(ABOUT)
            .body("SelfSignedBody", true, json!({ "commonName": "esd.beispiel.example", "dnsNames": ["esd.beispiel.example"], "days": 365 }))
            .answer(201, one("The certificate, to be registered with the vendor.", "CertificateWithPem"))
            .leads_to("removeCertificate", [("thumbprint", "$response.body#/thumbprint")]),
        get("/v1/certificate-requests", "listCertificateRequests", tag, "Lists the requests whose certificates were not imported yet")
            .about("The oldest first, all on one page. Not for clients that are bound to instances (`client-bound`).")
            .query([])
            .answer(200, whole("The requests.", "CertificateRequest")),
        post("/v1/certificate-requests", "requestCertificate", tag, "Makes a key that stays in the host, with a request to an authority")
            .about("What the authority answers is imported as a certificate. Not for clients that are bound to instances (`client-bound`).")
            .body("CertificateRequestBody", true, json!({ "commonName": "esd.beispiel.example", "dnsNames": ["esd.beispiel.example"] }))
            .answer(201, one("The request, to be sent to an authority.", "CertificateRequest"))
            .leads_to("removeCertificateRequest", [("publicKey", "$response.body#/publicKey")]),
        delete("/v1/certificate-requests/{publicKey}", "removeCertificateRequest", tag, "Removes a request and its private key")
            .about(ABOUT)
            .answer(200, one("The request is gone.", "RemovedCertificateRequest")),
    ]
}
