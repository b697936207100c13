/* Certificates, made by OpenSSL's own functions. */
#include "certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY_S (24 * 3600L)

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

struct wish {
    const char *file;
    const char *alternative_name; /* NULL: none, an authority */
    long from_s, to_s;            /* from now */
};

static char directory[] = "/tmp/larder-certificates-XXXXXX";
static pid_t owner;

static void *must(void *made)
{
    if (made != NULL)
        return made;
    fprintf(stderr, "certificates: they can't be made\n");
    exit(1);
}

static void path_of(const char *file, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", directory, file);
}

static void add_extension(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = must(X509V3_EXT_conf_nid(NULL, &context, kind, value));
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* @param issuer  NULL: itself */
static struct identity make(const struct wish *wish, const struct identity *issuer)
{
    static long serial;
    struct identity made = {must(X509_new()), must(EVP_EC_gen("P-256"))};
    X509_NAME *name = X509_get_subject_name(made.certificate);
    if (issuer == NULL)
        issuer = &made;
    X509_set_version(made.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), wish->from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), wish->to_s);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)wish->file, -1, -1,
                               0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer->certificate));
    X509_set_pubkey(made.certificate, made.key);
    add_extension(made.certificate, issuer->certificate, NID_basic_constraints,
                  wish->alternative_name == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (wish->alternative_name != NULL)
        add_extension(made.certificate, issuer->certificate, NID_subject_alt_name,
                      wish->alternative_name);
    if (X509_sign(made.certificate, issuer->key, EVP_sha256()) == 0)
        must(NULL);
    return made;
}

static void discard(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

/* @param chain  NULL: none. @param with_key  0: an authority that others are to trust */
static void save(const char *file, const struct identity *identity, X509 *chain, int with_key)
{
    char path[128];
    path_of(file, path, sizeof(path));
    FILE *stream = must(fopen(path, "we"));
    PEM_write_X509(stream, identity->certificate);
    if (chain != NULL)
        PEM_write_X509(stream, chain);
    if (with_key)
        PEM_write_PrivateKey(stream, identity->key, NULL, NULL, 0, NULL, NULL);
    if (fclose(stream) != 0)
        must(NULL);
}

static void make_signed(const struct wish *wish, const struct identity *issuer, X509 *chain)
{
    struct identity made = make(wish, issuer);
    save(wish->file, &made, chain, 1);
    discard(&made);
}

static void remove_all(void)
{
    static const char *const files[] = {
        CERTIFICATES_ROOT,        CERTIFICATES_OTHER_ROOT, CERTIFICATES_GOOD,
        CERTIFICATES_NO_CHAIN,    CERTIFICATES_WRONG_HOST, CERTIFICATES_EXPIRED,
        CERTIFICATES_SELF_SIGNED, CERTIFICATES_EARLY,      CERTIFICATES_CLIENT};
    char path[128];
    if (owner != getpid())
        return;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        path_of(files[i], path, sizeof(path));
        unlink(path);
    }
    rmdir(directory);
}

static void make_all(void)
{
    static const char here[] = "DNS:localhost,IP:127.0.0.1";
    const struct wish root = {CERTIFICATES_ROOT, NULL, -DAY_S, 10 * DAY_S};
    const struct wish other = {CERTIFICATES_OTHER_ROOT, NULL, -DAY_S, 10 * DAY_S};
    const struct wish middle = {"intermediate", NULL, -DAY_S, 10 * DAY_S};
    const struct wish good = {CERTIFICATES_GOOD, here, -DAY_S, DAY_S};
    const struct wish alone = {CERTIFICATES_NO_CHAIN, here, -DAY_S, DAY_S};
    const struct wish wrong = {CERTIFICATES_WRONG_HOST, "DNS:elsewhere.example", -DAY_S, DAY_S};
    const struct wish expired = {CERTIFICATES_EXPIRED, here, -2 * DAY_S, -DAY_S};
    const struct wish early = {CERTIFICATES_EARLY, here, DAY_S, 2 * DAY_S};
    const struct wish own = {CERTIFICATES_SELF_SIGNED, here, -DAY_S, DAY_S};
    const struct wish client = {CERTIFICATES_CLIENT, "DNS:client", -DAY_S, DAY_S};
    struct identity authority = make(&root, NULL), stranger = make(&other, NULL);
    struct identity between = make(&middle, &authority);
    save(CERTIFICATES_ROOT, &authority, NULL, 0);
    save(CERTIFICATES_OTHER_ROOT, &stranger, NULL, 0);
    make_signed(&good, &between, between.certificate);
    make_signed(&alone, &between, NULL);
    make_signed(&wrong, &between, between.certificate);
    make_signed(&expired, &between, between.certificate);
    make_signed(&early, &between, between.certificate);
    make_signed(&own, NULL, NULL);
    make_signed(&client, &between, between.certificate);
    discard(&between);
    discard(&stranger);
    discard(&authority);
}

const char *certificates_path(const char *file)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    if (owner == 0) {
        must(mkdtemp(directory));
        owner = getpid();
        if (atexit(remove_all) != 0)
            must(NULL);
        make_all();
    }
    path_of(file, path, sizeof(paths[0]));
    return path;
}
