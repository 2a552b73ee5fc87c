module "ingest" {
  source = "../../../webhook-ingest"

  environment = "dev"
  api         = { name = "sss" } # an API that is there already; or { id = module.api.api_id }
  queue_url   = module.queue.queue_url
  queue_arn   = module.queue.queue_arn

  routes = {
    sss = {
      path         = "/sqs-hook"
      ordering_key = "$request.header.x-workflow-id"
      pass_headers = ["content-type"]
    }
  }
}

module "queue" {
  source = "../../../webhook-queue"

  environment = "dev"
  routes      = { sss = {} }
}
