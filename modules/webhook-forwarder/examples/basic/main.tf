module "forwarder" {
  source = "../../../webhook-forwarder"

  environment           = "dev"
  routes                = local.routes
  queue_url             = module.queue.queue_url
  queue_arn             = module.queue.queue_arn
  dead_letter_queue_url = module.queue.dead_letter_queue_url
  dead_letter_queue_arn = module.queue.dead_letter_queue_arn
  ingest_sender         = { unique_id = module.ingest.role_unique_id }

  artifact = {
    path        = "function.zip"  # `cargo xtask package` makes it,
    code_sha256 = var.code_sha256 # and says this in manifest.json
  }
}

module "queue" {
  source = "../../../webhook-queue"

  environment = "dev"
  routes      = local.routes
}

module "ingest" {
  source = "../../../webhook-ingest"

  environment = "dev"
  api         = { name = "sss" } # an API that is there already
  queue_url   = module.queue.queue_url
  queue_arn   = module.queue.queue_arn
  routes      = local.routes
}

locals {
  routes = {
    sss = {
      path         = "/sqs-hook"
      ordering_key = "$request.header.x-workflow-id"
      destinations = [{ name = "sss", url = "https://sss.example.com/application-hook" }]
    }
  }
}

variable "code_sha256" {
  type = string
}
