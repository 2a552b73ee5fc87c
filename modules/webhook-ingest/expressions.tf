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
    "webhook-attempt", "webhook-group", "webhook-id", "webhook-sequence",
  ]
  reserved_header_prefixes = "^(x-amz-|x-amzn-|x-forwarded-|access-control-|apigw-)"
}
