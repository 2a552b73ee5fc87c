variable "environment" {
  description = "Name of the environment, such as `dev`: 1 to 20 lower-case letters, digits and `-`. The role's name begins with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment is \"${var.environment}\"; a name is 1 to 20 lower-case letters, digits and \"-\", and begins with a letter."
  }
}

variable "api" {
  description = "The HTTP API that takes the webhooks: `id`, or the `name` of one that exists already and is the only one of that name."
  type = object({
    id   = optional(string)
    name = optional(string)
  })
  nullable = false

  validation {
    condition     = (var.api.id == null) != (var.api.name == null)
    error_message = "api needs either id or name."
  }
}

variable "routes" {
  description = <<-EOT
    The routes, by name. Other attributes are ignored.
    `path`: path that the SaaS posts to, such as `/sqs-hook` or `/hooks/{tenant}`.
    `former_paths`: paths that it had before, where the SaaS still posts to as well.
    `ordering_key`: the message group: fixed text, or API Gateway's mapping expression such as `$request.header.x-workflow-id`.
    `deduplication`: `request` (every request is an event), `content` (equal bodies within five minutes are one), or an expression for the provider's own event id. A route with `verify` takes `request` only.
    `event_id`: what names an event, which leaves as `webhook-id`: an expression. Unless given, the id that the scheme of `verify` signs, or else the expression of `deduplication`, or else the API's request id.
    `pass_headers`: at most 40 headers to pass on, those of `verify` included. API Gateway refuses requests that lack one of them.
    `verify`: how the provider signs; the headers that the forwarder verifies by travel with the message: `scheme`, one of `standard_webhooks`, `svix`, `github`, `slack`, `stripe`, `hmac`, `gitlab` and `token`; for `hmac` its `header`, `signed_content` and `timestamp_header`, and for `token` its `header`, which is itself the secret.
  EOT
  type = map(object({
    path          = string
    former_paths  = optional(list(string), [])
    ordering_key  = string
    deduplication = optional(string, "request")
    event_id      = optional(string)
    pass_headers  = optional(list(string), [])
    verify = optional(object({
      scheme = string
      hmac = optional(object({
        header           = string
        signed_content   = optional(string, "{body}")
        timestamp_header = optional(string)
      }))
      token = optional(object({
        header = string
      }))
    }))
  }))
  nullable = false

  validation {
    condition     = length(var.routes) > 0
    error_message = "routes is empty; at least one route is needed."
  }
  validation {
    condition     = alltrue([for name in keys(var.routes) : can(regex("^[a-z][a-z0-9-]{0,39}$", name))])
    error_message = "a route's name is 1 to 40 lower-case letters, digits and \"-\", and begins with a letter; are ${join(", ", keys(var.routes))}."
  }
  validation {
    condition     = alltrue([for path in flatten([for route in values(var.routes) : concat([route.path], route.former_paths)]) : can(regex("^(/([A-Za-z0-9._~-]+|\\{[A-Za-z0-9_-]+\\}))+$", path))])
    error_message = "a path is \"/\" and segments of letters, digits and \"-._~\", or of one {name}; are ${join(", ", flatten([for route in values(var.routes) : concat([route.path], route.former_paths)]))}."
  }
  validation {
    condition = alltrue([
      for path in flatten([for route in values(var.routes) : concat([route.path], route.former_paths)]) :
      length(regexall("\\{[^}]*\\}", path)) == length(distinct(regexall("\\{[^}]*\\}", path)))
    ])
    error_message = "a path has a parameter twice; are ${join(", ", flatten([for route in values(var.routes) : concat([route.path], route.former_paths)]))}."
  }
  validation {
    condition = (
      length(distinct([for path in flatten([for route in values(var.routes) : concat([route.path], route.former_paths)]) : replace(path, "/\\{[^}]*\\}/", "{}")])) == length(flatten([for route in values(var.routes) : concat([route.path], route.former_paths)]))
    )
    error_message = "two paths would take the same requests; are ${join(", ", flatten([for route in values(var.routes) : concat([route.path], route.former_paths)]))}."
  }
  validation {
    condition     = alltrue([for route in values(var.routes) : can(regex(local.expression, route.ordering_key))])
    error_message = "an ordering_key is fixed text or an expression such as $request.header.NAME, $request.body.FIELD or $context.NAME; are ${join(", ", values(var.routes)[*].ordering_key)}."
  }
  validation {
    condition = alltrue([
      for route in values(var.routes) :
      can(regex(local.with_variable, route.ordering_key)) || can(regex("^[!-~]{1,128}$", route.ordering_key))
    ])
    error_message = "a fixed ordering_key is a message group id: 1 to 128 ASCII letters, digits and punctuation marks."
  }
  validation {
    condition = alltrue([
      for route in values(var.routes) :
      contains(["request", "content"], route.deduplication) || (
        can(regex(local.expression, route.deduplication)) && can(regex(local.with_variable, route.deduplication))
      )
    ])
    error_message = "deduplication is \"request\", \"content\" or an expression such as $request.header.webhook-id; are ${join(", ", values(var.routes)[*].deduplication)}."
  }
  validation {
    condition = alltrue([
      for id in values(var.routes)[*].event_id : can(regex(local.expression, id)) && can(regex(local.with_variable, id)) if id != null
    ])
    error_message = "event_id is an expression such as $request.header.x-event-id: a fixed id would make all events one; are ${join(", ", [for id in values(var.routes)[*].event_id : id if id != null])}."
  }
  validation {
    condition = alltrue([for route in values(var.routes) : route.verify == null || route.deduplication == "request"])
    error_message = "a route with verify takes deduplication \"request\" only: a forged request could make the queue drop a genuine one. Write ${join("; ", [
      for name, route in var.routes : "in routes.${name} \"deduplication\": \"request\"${route.deduplication == "content" ? "" : ", \"event_id\": ${jsonencode(route.deduplication)}"}"
      if route.verify != null && route.deduplication != "request"
    ])}; the receiver recognises a repeat by webhook-id."
  }
  validation {
    condition     = alltrue([for route in values(var.routes) : !strcontains(route.deduplication, "\\") && !strcontains(coalesce(route.event_id, "-"), "\\")])
    error_message = "deduplication and event_id must be without backslashes: they become part of a JSON text that API Gateway fills in."
  }
  validation {
    condition = alltrue(flatten([
      for route in values(var.routes) : [
        for expression in concat([route.ordering_key, route.deduplication], route.event_id[*]) : [
          for parameter in regexall("request\\.path\\.([A-Za-z0-9_.-]+)", expression)[*][0] :
          alltrue([for path in concat([route.path], route.former_paths) : strcontains(path, "{${parameter}}")])
        ]
      ]
    ]))
    error_message = "an expression asks for a $request.path.NAME that its path does not have as {NAME}."
  }
  validation {
    condition     = alltrue([for route in values(var.routes) : length(route.pass_headers) <= 40])
    error_message = "at most 40 headers travel with a message."
  }
  validation {
    condition     = alltrue([for verify in values(var.routes)[*].verify : contains(keys(local.scheme_headers), verify.scheme) if verify != null])
    error_message = "scheme is one of ${join(", ", keys(local.scheme_headers))}."
  }
  validation {
    condition     = alltrue([for header in flatten(values(var.routes)[*].pass_headers) : can(regex("^[A-Za-z0-9_-]{1,100}$", header))])
    error_message = "a header's name is 1 to 100 letters, digits, \"-\" and \"_\"."
  }
  validation {
    condition = alltrue([
      for header in flatten(values(var.routes)[*].pass_headers) :
      !contains(local.reserved_headers, lower(header)) && !can(regex(local.reserved_header_prefixes, lower(header)))
    ])
    error_message = "a header in pass_headers is reserved by API Gateway, about the connection, or set by the forwarder."
  }
  validation {
    condition = alltrue([
      for route in values(var.routes) :
      length(distinct([for header in route.pass_headers : lower(header)])) == length(route.pass_headers)
    ])
    error_message = "a header is in pass_headers twice."
  }
}

variable "queue_url" {
  description = "URL of the webhook queue."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://.+\\.fifo$", var.queue_url))
    error_message = "queue_url is \"${var.queue_url}\"; it must be the URL of a FIFO queue."
  }
}

variable "queue_arn" {
  description = "ARN of the webhook queue."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:.+\\.fifo$", var.queue_arn))
    error_message = "queue_arn is \"${var.queue_arn}\"; it must be the ARN of a FIFO queue."
  }
}

variable "forwarder_version" {
  description = "The function's version that delivers: routes are turned to a changed integration only once it is there, so that it reads what the integration writes. Null waits for nothing."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the queue; null with SQS's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key; policies cannot name an alias."
  }
}

variable "authorization" {
  description = <<-EOT
    Who may post webhooks.
    `type`: `NONE`, `JWT`, `AWS_IAM`, or `CUSTOM` for a Lambda authorizer.
    `authorizer_id`: for `JWT` and `CUSTOM`, an authorizer that the API has already; or one is made from:
    `jwt`: `issuer` (an https URL) and `audience` of the tokens, and where the token is (`identity_source`);
    `lambda`: `function_name` and `invoke_arn` of the function, `identity_sources` that requests must have, and for how long a decision is kept (`result_ttl_seconds`, 0 to 3600).
    `scopes`: for `JWT`, scopes of which a token must have one.
  EOT
  type = object({
    type          = optional(string, "NONE")
    authorizer_id = optional(string)
    jwt = optional(object({
      issuer          = string
      audience        = set(string)
      identity_source = optional(string, "$request.header.Authorization")
    }))
    lambda = optional(object({
      function_name      = string
      invoke_arn         = string
      identity_sources   = optional(set(string), ["$request.header.Authorization"])
      result_ttl_seconds = optional(number, 0)
    }))
    scopes = optional(set(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["NONE", "JWT", "AWS_IAM", "CUSTOM"], var.authorization.type)
    error_message = "type is \"${var.authorization.type}\"; it must be NONE, JWT, AWS_IAM or CUSTOM."
  }
  validation {
    condition = (
      length([for given in [var.authorization.authorizer_id, var.authorization.jwt, var.authorization.lambda] : true if given != null])
      == (contains(["JWT", "CUSTOM"], var.authorization.type) ? 1 : 0)
    )
    error_message = "JWT and CUSTOM need one of authorizer_id, jwt and lambda; NONE and AWS_IAM none of them."
  }
  validation {
    condition     = var.authorization.jwt == null || var.authorization.type == "JWT"
    error_message = "jwt is for the type JWT."
  }
  validation {
    condition     = var.authorization.lambda == null || var.authorization.type == "CUSTOM"
    error_message = "lambda is for the type CUSTOM."
  }
  validation {
    condition     = length(var.authorization.scopes) == 0 || var.authorization.type == "JWT"
    error_message = "scopes are for the type JWT."
  }
  validation {
    condition     = var.authorization.jwt == null || (startswith(try(var.authorization.jwt.issuer, ""), "https://") && try(length(var.authorization.jwt.audience), 0) > 0)
    error_message = "jwt needs an issuer that begins with https:// and at least one audience."
  }
  validation {
    condition     = try(var.authorization.lambda.result_ttl_seconds, 0) >= 0 && try(var.authorization.lambda.result_ttl_seconds, 0) <= 3600
    error_message = "result_ttl_seconds must be 0 to 3600."
  }
}

variable "throttling" {
  description = <<-EOT
    Most requests per second (`rate_per_second`) and at once (`burst`) on each route; more are answered 429.
    Whoever sets the stage up takes it from the output `route_settings`. 300 is what a FIFO queue takes without `high_throughput`.
    `routes`: other values, by the route's name.
  EOT
  type = object({
    rate_per_second = optional(number, 300)
    burst           = optional(number, 300)
    routes = optional(map(object({
      rate_per_second = number
      burst           = number
    })), {})
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for limit in concat([{ rate_per_second = var.throttling.rate_per_second, burst = var.throttling.burst }], values(var.throttling.routes)) :
      limit.rate_per_second > 0 && limit.burst >= 1 && floor(limit.burst) == limit.burst
    ])
    error_message = "rate_per_second must be above 0 and burst a whole number of at least 1: with 0 the route would refuse everything."
  }
  validation {
    condition     = length(setsubtract(keys(var.throttling.routes), keys(var.routes))) == 0
    error_message = "throttling names routes that are not there: ${join(", ", setsubtract(keys(var.throttling.routes), keys(var.routes)))}."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the role's permissions, where the account demands one."
  type        = string
  default     = null
}
