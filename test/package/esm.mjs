import * as netvc from 'netvc'
import { echo, optionsFromArgv } from './echo.mjs'

await echo(netvc, optionsFromArgv())
