# The modules of one environment, joined. Values that an environment leaves out stay null here, so
# that each default stands once, in the module that uses it.

locals {
  # The stage's name is a part of its URLs, but for that of the default one.
  stage       = var.aws.api == null ? "$default" : var.aws.api.stage
  ingest_base = local.stage == "$default" ? module.ingest.api_endpoint : "${module.ingest.api_endpoint}/${local.stage}"
}

module "queue" {
  source = "../webhook-queue"

  environment         = var.environment
  routes              = var.routes
  queue               = var.queue
  forwarder           = var.forwarder
  encryption          = var.aws.encryption
  deletion_protection = var.aws.deletion_protection
}

module "http_api" {
  source = "../http-api"
  count  = var.aws.api == null ? 1 : 0

  name           = "${var.environment}-webhook"
  description    = "Takes webhooks of ${var.environment}"
  throttling     = var.aws.throttling
  route_settings = module.ingest.route_settings
  logs           = var.aws.logs
}

module "ingest" {
  source = "../webhook-ingest"

  environment = var.environment
  api = {
    # By its index: a splat would wait for the stage, which waits for the routes.
    id   = var.aws.api == null ? module.http_api[0].api_id : var.aws.api.id
    name = try(var.aws.api.name, null)
  }
  routes                   = var.routes
  queue_url                = module.queue.queue_url
  queue_arn                = module.queue.queue_arn
  kms_key_arn              = module.queue.kms_key_arn
  forwarder_version        = module.forwarder.function_version
  authorization            = var.aws.authorization
  throttling               = var.aws.throttling
  permissions_boundary_arn = var.aws.permissions_boundary_arn
}

module "forwarder" {
  source = "../webhook-forwarder"

  environment           = var.environment
  routes                = var.routes
  queue                 = var.queue
  forwarder             = var.forwarder
  queue_url             = module.queue.queue_url
  queue_arn             = module.queue.queue_arn
  dead_letter_queue_url = module.queue.dead_letter_queue_url
  dead_letter_queue_arn = module.queue.dead_letter_queue_arn
  kms_key_arn           = module.queue.kms_key_arn
  ingest_sender         = { unique_id = module.ingest.role_unique_id }
  secrets_kms_key_arn   = try(var.aws.encryption.secrets_kms_key_arn, null)

  artifact = merge(var.artifact, {
    architecture = var.artifact.architecture == null ? try(var.aws.function.architecture, null) : var.artifact.architecture
  })

  enabled                  = !var.aws.start_paused
  memory_megabytes         = try(var.aws.function.memory_megabytes, null)
  reserved_concurrency     = try(var.aws.function.reserved_concurrency, null)
  tracing                  = try(var.aws.function.tracing, null)
  vpc                      = try(var.aws.function.vpc, null)
  environment_variables    = try(var.aws.function.environment_variables, null)
  logs                     = merge(var.aws.logs, { answers = var.logs.answers })
  permissions_boundary_arn = var.aws.permissions_boundary_arn
}

module "sss_stub" {
  source = "../sss-stub"
  count  = var.aws.sss_stub ? 1 : 0

  environment              = var.environment
  api_id                   = module.ingest.api_id
  api_execution_arn        = module.ingest.execution_arn
  artifact                 = var.stub_artifact
  permissions_boundary_arn = var.aws.permissions_boundary_arn
}

module "monitoring" {
  source = "../monitoring"

  environment                   = var.environment
  queue_arn                     = module.queue.queue_arn
  dead_letter_queue_arn         = module.queue.dead_letter_queue_arn
  dead_letter_retention_seconds = var.queue.dead_letter_retention_seconds
  function_name                 = module.forwarder.function_name
  routes                        = var.routes
  api                           = { id = module.ingest.api_id, stage = local.stage }
  notifications                 = var.aws.notifications
  thresholds                    = var.aws.thresholds
  runbook_url                   = var.aws.runbook_url
}
