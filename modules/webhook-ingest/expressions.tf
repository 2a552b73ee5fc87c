# API Gateway's mapping expressions and what may be done with them, as in the domain's `mapping` and
# `config`: what the gateway would refuse for every request is refused at plan time.
locals {
  variable = join("|", [
    "request\\.(body|path)",
    "request\\.(header|querystring|path)\\.[A-Za-z0-9_.-]+",
    "request\\.body(\\.[^.*?()'\\[\\] @$}]+|\\['[^'}]*'\\]|\\[[0-9]+\\])+",
    "(context|stageVariables)\\.[A-Za-z0-9_.-]+",
  ])

  # One variable, text with variables in it, or plain text.
  expression    = "^(\\$(${local.variable})|([^$]|\\$\\{(${local.variable})\\})+|[^$]([^$]|\\$+[^{$])*)$"
  with_variable = "^\\$|\\$\\{"

  reserved_headers = [
    "authorization", "connection", "content-encoding", "content-length", "expect", "host",
    "keep-alive", "max-forwards", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "transfer-encoding", "upgrade", "via", "webhook-accepted-at",
    "webhook-attempt", "webhook-group", "webhook-id", "webhook-repeat", "webhook-sequence",
  ]
  reserved_header_prefixes = "^(x-amz-|x-amzn-|x-forwarded-|access-control-|apigw-)"

  # The headers that each scheme of `verify` looks at, as in the domain's `signature`.
  scheme_headers = {
    standard_webhooks = ["webhook-id", "webhook-signature", "webhook-timestamp"]
    svix              = ["svix-id", "svix-signature", "svix-timestamp"]
    github            = ["x-hub-signature-256"]
    slack             = ["x-slack-request-timestamp", "x-slack-signature"]
    stripe            = ["stripe-signature"]
    hmac              = []
    gitlab            = []
    token             = []
  }

  # The header with the event's id, where that is part of what is signed.
  signed_ids = {
    standard_webhooks = "$request.header.webhook-id"
    svix              = "$request.header.svix-id"
  }

  # The header that is itself the secret; it travels apart.
  token_headers = {
    for name, route in var.routes : name => one(concat(
      [for verify in route.verify[*] : "x-gitlab-token" if verify.scheme == "gitlab"],
      flatten([for verify in route.verify[*] : [for token in verify.token[*] : lower(token.header)]]),
    ))
  }

  hmac_headers = {
    for name, route in var.routes : name => flatten([
      for verify in route.verify[*] : [
        for hmac in verify.hmac[*] : [
          for header in concat([hmac.header], regexall("\\{header\\.([^}]*)\\}", hmac.signed_content)[*][0], hmac.timestamp_header[*]) :
          lower(header)
        ]
      ]
    ])
  }

  # What travels with a message: headers to pass on, and those to verify by.
  carried_headers = {
    for name, route in var.routes : name => distinct(concat(
      [for header in route.pass_headers : lower(header)],
      flatten([for verify in route.verify[*] : lookup(local.scheme_headers, verify.scheme, [])]),
      local.hmac_headers[name],
    ))
  }
}
